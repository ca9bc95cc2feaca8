"""The file of a growing curve: whole at any time, readable by anybody, and no fault of the disk that reaches
training."""

import csv
import io
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training import live
from pipeline.training.outcome import curve_csv
from pipeline.training.state import Point

ROOT = Path(__file__).parents[2]
FINGERPRINT = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def _spooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(live.SPOOL, str((live.HOME / "demo").absolute()))


def only() -> live.Curve:
    (curve,) = live.curves().values()
    return curve


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(live.SPOOL)
    with live.open("w1", FINGERPRINT) as curve:
        curve.point(1, loss=0.5, score=None)
    assert [*tmp_path.iterdir()] == []


def test_a_process_that_does_not_show_the_curve_writes_nothing(tmp_path: Path) -> None:
    with live.open("w1", None) as curve:
        curve.point(1, loss=0.5, score=None)
    assert [*tmp_path.iterdir()] == []


def test_a_curve_is_read_while_it_grows_and_says_how_it_ended() -> None:
    with live.open("w1", FINGERPRINT) as curve:
        curve.point(10, loss=0.5, score=None)
        curve.point(20, loss=0.25, score=0.9)
        running = only()
    assert (running.name, running.fingerprint) == ("w1", FINGERPRINT)
    assert (running.status, running.ended) == ("RUNNING", None)
    assert running.points == [
        ("training/loss", 10, 0.5),
        ("training/loss", 20, 0.25),
        ("training/score", 20, 0.9),
    ]
    ended = only()
    assert (ended.status, ended.points) == ("FINISHED", running.points)
    assert ended.ended is not None
    assert ended.ended >= ended.started


@given(loss=st.floats(0, 1e6), score=st.floats(-1, 1))
def test_numbers_are_those_of_curve_csv(loss: float, score: float) -> None:
    (row,) = csv.DictReader(io.StringIO(curve_csv([Point(1, loss, score)])))
    curve = live.Curve(name="w1", fingerprint=FINGERPRINT)
    curve.point(1, loss=loss, score=score)
    assert [value for _, _, value in curve.points] == [float(row["loss"]), float(row["score"])]


def test_a_number_that_is_not_finite_is_left_out() -> None:
    with live.open("w1", FINGERPRINT) as curve:
        curve.point(1, loss=float("nan"), score=float("inf"))
    assert only().points == []


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_what_ends_the_block_is_the_status(error: type[BaseException], status: str) -> None:
    with pytest.raises(error), live.open("w1", FINGERPRINT):
        raise error
    assert only().status == status


def test_a_process_that_ended_without_a_word_was_killed() -> None:
    code = "from pipeline.training import live; import os\n"
    code += f"with live.open('w1', '{FINGERPRINT}'): os._exit(9)"
    subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    curve = only()
    assert curve.status == "KILLED"
    assert curve.ended is not None
    assert curve.ended >= curve.started


def test_a_resumed_training_goes_on_with_its_curve() -> None:
    with suppress(SystemExit), live.open("w1", FINGERPRINT) as curve:
        curve.point(10, loss=0.5, score=None)
        raise SystemExit
    first = only()
    with live.open("w1", FINGERPRINT) as curve:
        curve.point(20, loss=0.25, score=None)
        again = only()
    assert (again.status, again.ended, again.started) == ("RUNNING", None, first.started)
    assert again.points == [*first.points, ("training/loss", 20, 0.25)]


def test_another_fingerprint_is_another_curve() -> None:
    for fingerprint in ("a" * 64, "b" * 64):
        with live.open("w1", fingerprint):
            pass
    assert len(live.curves()) == 2


@given(content=st.binary(max_size=200))
def test_a_file_that_is_no_curve_is_passed_over_and_replaced(content: bytes) -> None:
    path = live.HOME / "demo" / f"w1-{FINGERPRINT[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert live.curves() == {}
    with live.open("w1", FINGERPRINT):
        assert only().status == "RUNNING"


def test_a_folder_that_cannot_be_made_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(live.SPOOL, str(tmp_path / "file" / "spool"))
    with live.open("w1", FINGERPRINT) as curve:
        curve.point(1, loss=0.5, score=None)
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


def test_a_full_disk_costs_the_rest_of_the_curve_and_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with largest_file(500), live.open("w1", FINGERPRINT) as curve:
        for step in range(50):
            curve.point(step, loss=0.5, score=None)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the training goes on" in caplog.text
    steps = [step for _, step, _ in only().points]
    assert 0 < len(steps) < 50
    assert steps == [*range(len(steps))]
