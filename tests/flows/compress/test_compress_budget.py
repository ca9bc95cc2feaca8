"""Minutes become steps: no more time than was given, nobody too few steps, nobody more than is of use."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import params as composed

from flows.compress import budget
from flows.compress.budget import Pace, TooShortError
from pipeline.params import Params

ROWS = {"train": 400, "selection": 40, "validation": 100}
PACE = Pace(dict.fromkeys(("teacher", "w4a8", "w2a8", "w1a8", "w1a4"), 0.5), start=5.0)


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    own = ("task=custom", "data.files.train=a.csv", "task.label_names=[a,b]", "model=minilm", "ladder=short")
    return composed(tmp_path_factory.mktemp("own"), *own)


@given(minutes=st.floats(3, 500))
def test_no_more_time_is_spent_than_was_given(params: Params, minutes: float) -> None:
    found = budget.steps(params, PACE, minutes, ROWS, given_teacher=False)
    spent = sum(found[name] * PACE.seconds[name] for name in found) + budget.beside(params, PACE, ROWS)
    assert spent <= 60 * minutes + 20 * 0.5  # a rung has 20 steps at least
    assert found["teacher"] <= budget.MOST_EPOCHS * 13
    assert 20 <= found["w4a8"] <= found["w2a8"] == found["w1a8"] <= budget.MOST_STEPS


def test_a_teacher_that_is_given_takes_no_time(params: Params) -> None:
    found = budget.steps(params, PACE, 10, ROWS, given_teacher=True)
    assert "teacher" not in found
    assert found["w1a8"] > budget.steps(params, PACE, 10, ROWS, given_teacher=False)["w1a8"]


def test_too_few_minutes_are_refused_with_enough(params: Params) -> None:
    with pytest.raises(
        TooShortError, match=r"--minutes: 1 are too few here; at least (\d+) are needed"
    ) as caught:
        budget.steps(params, PACE, 1, ROWS, given_teacher=False)
    enough = int(str(caught.value).split("at least ")[1].split()[0])
    budget.steps(params, PACE, enough, ROWS, given_teacher=False)


def test_a_file_of_this_ladder_is_there(params: Params) -> None:
    assert params.deliver == list(params.rungs) == ["w4a8", "w2a8", "w1a8", "w1a4"]
    assert {Path("conf/no_file")} == {Path(params.data.files.validation), Path(params.data.files.test)}
