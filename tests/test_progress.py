"""Progress: each line says where training is, a minute without a point has one too, a bar has plain words."""

import io
import sys

import pytest

from pipeline import progress as progress_module
from pipeline.progress import Progress, duration


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


def test_a_line_says_where_training_is(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("w1", 100, rows_per_step=32)
    clock.now += 10
    progress.show(50, loss=0.25, score=None)
    clock.now += 10
    progress.show(100, loss=0.125, score=0.9)
    progress.close()
    assert capsys.readouterr().out.splitlines() == [
        "w1: step 50 of 100, loss 0.2500, 160 examples/s, 10 s left",
        "w1: step 100 of 100, loss 0.1250, selection score 0.9000, 160 examples/s, 0 s left",
    ]


def test_rate_and_time_left_of_a_resumed_run_are_of_its_own_steps(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress("w1", 100, rows_per_step=10, first_step=80)
    clock.now += 5
    progress.show(90, loss=1.0, score=None)
    assert capsys.readouterr().out == "w1: step 90 of 100, loss 1.0000, 20 examples/s, 5 s left\n"


def test_a_slow_run_has_a_line_every_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("w1", 1000, rows_per_step=1)
    for step in range(1, 31):
        clock.now += 10
        if step == 10:
            progress.show(step, loss=0.5, score=0.75)
        else:
            progress.tick(step)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"w1: step {step} of 1000" for step in (6, 10, 16, 22, 28)
    ]
    assert lines[0] == "w1: step 6 of 1000, 0.1 examples/s, 2 h 46 min left"
    assert lines[2].startswith("w1: step 16 of 1000, loss 0.5000 at step 10, 0.1 examples/s")


def test_a_fast_run_has_no_line_between_its_points(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("w1", 1000, rows_per_step=1)
    for step in range(1, 1000):
        clock.now += 0.01
        progress.tick(step)
    assert capsys.readouterr().out == ""


def test_work_without_points_has_a_line_per_minute_and_one_that_tells_the_whole(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress("augment swap 1", 40, unit="row")
    for _ in range(4):
        clock.now += 30
        progress.advance(10)
    assert capsys.readouterr().out.splitlines() == [
        "augment swap 1: row 20 of 40, 0.3 examples/s, 60 s left",
        "augment swap 1: row 40 of 40, 0.3 examples/s, 0 s left",
    ]


def test_a_terminal_has_a_bar_with_loss_score_rate_and_time_left(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress("w1", 100, rows_per_step=32, first_step=10)
    clock.now += 4
    progress.show(20, loss=0.25, score=0.9)
    clock.now += 4
    progress.tick(30)
    progress.close()
    last = terminal.getvalue().rstrip().rpartition("\r")[2]
    for part in (
        "w1  30 %",
        "step 30 of 100",
        "loss 0.2500, selection score 0.9000, 80 examples/s, 28 s left",
    ):
        assert part in last
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5360, "89 min"),
        (5400, "1 h 30 min"),
        (12000, "3 h 20 min"),
    ],
)
def test_a_duration_is_in_the_unit_a_person_would_choose(seconds: float, text: str) -> None:
    assert duration(seconds) == text
