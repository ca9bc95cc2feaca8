"""The spool of a growing curve: complete lines, one writer, no fault of the disk that reaches training."""

import csv
import fcntl
import io
import json
import logging
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training import live
from pipeline.training.outcome import curve_csv
from pipeline.training.state import Point

FINGERPRINT = "0123456789abcdef" * 4


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(live.SPOOL, str(tmp_path / "spool"))
    return tmp_path / "spool"


def lines(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.iterdir()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(live.SPOOL, raising=False)
    monkeypatch.chdir(tmp_path)
    with live.open("w1", FINGERPRINT) as spool:
        spool.point(1, loss=0.5, score=None)
    assert [*tmp_path.iterdir()] == []


def test_a_curve_is_a_start_its_points_and_an_end(folder: Path) -> None:
    with live.open("w1", FINGERPRINT) as spool:
        spool.point(10, loss=0.5, score=None)
        spool.point(20, loss=0.25, score=0.9)
        assert len(lines(folder)) == 3  # visible at once
    start, *points, end = lines(folder)
    assert (start["name"], start["fingerprint"]) == ("w1", FINGERPRINT)
    assert points == [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25, "score": 0.9}]
    assert end["end"] == "FINISHED"
    assert start["start"] <= end["at"]


@given(loss=st.floats(0, 1e6), score=st.floats(-1, 1))
def test_numbers_are_those_of_curve_csv(loss: float, score: float) -> None:
    (row,) = csv.DictReader(io.StringIO(curve_csv([Point(1, loss, score)])))
    assert (live._rounded(loss), live._rounded(score)) == (float(row["loss"]), float(row["score"]))


def test_a_number_that_is_not_finite_is_left_out(folder: Path) -> None:
    live.open("w1", FINGERPRINT).point(1, loss=float("nan"), score=float("inf"))
    assert lines(folder)[-1] == {"step": 1}


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_what_ends_the_block_is_the_status(folder: Path, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), live.open("w1", FINGERPRINT):
        raise error
    assert lines(folder)[-1]["end"] == status


def test_a_resumed_training_goes_on_in_the_same_file_after_a_torn_line(folder: Path) -> None:
    with live.open("w1", FINGERPRINT) as spool:
        spool.point(10, loss=0.5, score=None)
    (path,) = folder.iterdir()
    with path.open("a") as file:
        file.write('{"step": 2')
    with live.open("w1", FINGERPRINT) as spool:
        spool.point(20, loss=0.25, score=None)
    text = path.read_text().splitlines()
    assert text[3] == '{"step": 2'
    assert [next(iter(json.loads(line))) for line in text[:3] + text[4:]] == ["start", "step", "end"] * 2


def test_another_fingerprint_is_another_curve(folder: Path) -> None:
    for fingerprint in ("a" * 64, "b" * 64):
        live.open("w1", fingerprint).end("FINISHED")
    assert len([*folder.iterdir()]) == 2


def test_a_second_writer_gets_none_and_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = live.open("w1", FINGERPRINT)
    second = live.open("w1", FINGERPRINT)
    second.point(1, loss=0.5, score=None)
    assert len(lines(folder)) == 1
    assert "another process writes it" in caplog.text
    first.end("FINISHED")


def test_a_reader_that_looks_does_not_keep_the_writer_out(folder: Path) -> None:
    live.open("w1", FINGERPRINT).end("KILLED")
    (path,) = folder.iterdir()
    holder = "import fcntl, sys, time; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_SH)\n"
    holder += "print(flush=True); time.sleep(0.3)"
    command = [sys.executable, "-c", holder, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        live.open("w1", FINGERPRINT).point(1, loss=0.5, score=None)
    assert lines(folder)[-1]["step"] == 1


def test_the_lock_is_held_as_long_as_training_lives(folder: Path) -> None:
    spool = live.open("w1", FINGERPRINT)
    (path,) = folder.iterdir()
    with path.open() as reader:
        with pytest.raises(BlockingIOError):
            fcntl.flock(reader, fcntl.LOCK_SH | fcntl.LOCK_NB)
        spool.end("FINISHED")
        fcntl.flock(reader, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_folder_that_cannot_be_made_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(live.SPOOL, str(tmp_path / "file" / "spool"))
    with live.open("w1", FINGERPRINT) as spool:
        spool.point(1, loss=0.5, score=None)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond this: what a full disk looks like to whoever writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_costs_the_rest_of_the_curve_and_one_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with largest_file(200), live.open("w1", FINGERPRINT) as spool:
        for step in range(20):
            spool.point(step, loss=0.5, score=None)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "training goes on" in caplog.text
    (path,) = folder.iterdir()
    assert path.stat().st_size == 200
