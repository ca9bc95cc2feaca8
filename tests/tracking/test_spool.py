"""What a training left in the spool, read while it runs, after its end and after its death."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking import spool
from pipeline.training import live

FINGERPRINT = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(live.SPOOL, str(spool.folder("demo").absolute()))


def only() -> spool.Curve:
    (path,) = spool.waiting()
    curve = spool.read(path)
    assert curve is not None
    return curve


def test_a_running_curve_is_read_as_far_as_it_is() -> None:
    writer = live.open("w1", FINGERPRINT)
    writer.point(10, loss=0.5, score=None)
    writer.point(20, loss=0.25, score=0.9)
    curve = only()
    assert (curve.task, curve.name, curve.fingerprint) == ("demo", "w1", FINGERPRINT)
    assert (curve.status, curve.ended, curve.steps) == ("RUNNING", None, [10, 20])
    assert curve.points == {
        ("training/loss", 10): 0.5,
        ("training/loss", 20): 0.25,
        ("training/score", 20): 0.9,
    }


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_an_ended_curve_says_how(status: Any) -> None:
    live.open("w1", FINGERPRINT).end(status)
    curve = only()
    assert curve.status == status
    assert curve.ended is not None
    assert curve.ended >= curve.started


def test_a_process_that_ended_without_a_word_was_killed() -> None:
    code = f"from pipeline.training import live; import os; s = live.open('w1', '{FINGERPRINT}'); os._exit(9)"
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": root})
    assert only().status == "KILLED"


def test_a_resumed_curve_runs_again_and_the_last_word_on_a_step_counts() -> None:
    with live.open("w1", FINGERPRINT) as writer:
        writer.point(10, loss=0.5, score=None)
    first = only()
    again = live.open("w1", FINGERPRINT)
    again.point(10, loss=0.75, score=None)
    curve = only()
    assert (curve.status, curve.started) == ("RUNNING", first.started)
    assert curve.points == {("training/loss", 10): 0.75}


def test_a_delivered_file_is_removed_unless_more_was_said_meanwhile() -> None:
    with live.open("w1", FINGERPRINT) as writer:
        writer.point(10, loss=0.5, score=None)
    before = only()
    again = live.open("w1", FINGERPRINT)
    assert not spool.discard(before)
    assert not spool.discard(only())  # it is being written
    again.end("FINISHED")
    assert not spool.discard(before)
    assert spool.discard(only())
    assert spool.waiting() == []
    assert not spool.discard(before)


@given(content=st.binary(max_size=200))
def test_no_content_breaks_the_reader(content: bytes) -> None:
    path = spool.folder("demo") / "w1-0.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert spool.read(path) is None


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3))


@given(st.lists(st.dictionaries(st.sampled_from(["start", "step", "loss", "score", "end", "at"]), values)))
def test_lines_of_another_make_are_passed_over(events: list[dict[str, Any]]) -> None:
    start = {"start": 1, "name": "w1", "fingerprint": "0"}
    path = spool.folder("demo") / "w1-0.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(event)}\n" for event in [start, *events]))
    curve = only()
    assert curve.status in ("KILLED", "FINISHED", "FAILED")
    assert all(isinstance(step, int) for step in curve.steps)
