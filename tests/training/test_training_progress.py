"""Progress outside a terminal: about ten lines per run, each with the step, the loss and what is left."""

import pytest

from pipeline.training.progress import Progress


@pytest.mark.parametrize(("num_steps", "expected"), [(1, 1), (7, 7), (10, 10), (600, 10), (605, 11)])
def test_there_are_about_ten_lines_and_the_last_step_has_one(num_steps: int, expected: int) -> None:
    progress = Progress("w1", num_steps)
    due = [step for step in range(1, num_steps + 1) if progress.is_due(step)]
    assert len(due) == expected
    assert due[-1] == num_steps


def test_a_line_says_where_training_is(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("w1", 100)
    progress.show(50, loss=0.25, score=None)
    progress.show(100, loss=0.125, score=0.9)
    progress.close()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("w1: step 50 of 100, loss 0.2500, ")
    assert first.endswith(" s left")
    assert second == "w1: step 100 of 100, loss 0.1250, selection score 0.9000, 0 s left"
