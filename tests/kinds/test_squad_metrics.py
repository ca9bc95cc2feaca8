"""SQuAD's official metrics, cases worked by hand from what the evaluation scripts define."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kinds import squad


@pytest.mark.parametrize(
    ("text", "compared"),
    [
        ("The Denver Broncos!", "denver broncos"),
        ("an  apple\ta day", "apple day"),
        ("U.S.A.", "usa"),
        ("theatre", "theatre"),
        ("Saint-Exupéry's", "saintexupérys"),
        ("24\u201310", "24\u201310"),  # a dash, but not of ASCII's punctuation
        ("the", ""),
    ],
)
def test_what_two_answers_are_compared_by(text: str, compared: str) -> None:
    assert squad.normalize(text) == compared


def test_f1_by_hand() -> None:
    """Of 3 and 2 words 2 in common: precision 2/3, recall 1, F1 4/5. A word counts each time both have it."""
    assert squad.f1("the gold statue stood", "A gold statue", unanswerable=False) == pytest.approx(4 / 5)
    assert squad.f1("to be or to be", "to to to", unanswerable=False) == pytest.approx(2 * 2 / (5 + 3))
    assert squad.f1("gold", "silver", unanswerable=False) == 0


def test_two_answers_of_which_nothing_is_left() -> None:
    assert squad.exact_match("the", "a") == 1
    assert squad.f1("the", "a", unanswerable=False) == 0
    assert squad.f1("the", "a", unanswerable=True) == 1


def test_the_best_of_several_answers_counts_for_each_metric() -> None:
    found = squad.marks(
        ["in 1990", "blue"], [["1990 AD", "the year in 1990"], ["red", "Blue"]], unanswerable=False
    )
    assert found.exact_match.tolist() == [0, 1]
    assert found.f1.tolist() == [pytest.approx(2 * 2 / (2 + 3)), 1]
    assert squad.scores(found, [["x"], ["x"]], unanswerable=False) == {
        "exact_match": 0.5,
        "f1": pytest.approx(0.9),
    }


def test_version_2_by_hand() -> None:
    """An answer where there is none is wrong, none where there is one too; punctuation alone is no answer."""
    given_answers = [["red"], ["red"], [], [], ["."]]
    found = squad.marks(["red wine", "", "", "red", ""], given_answers, unanswerable=True)
    assert found.exact_match.tolist() == [0, 0, 1, 0, 1]
    assert squad.scores(found, given_answers, unanswerable=True) == {
        "exact_match": pytest.approx(2 / 5),
        "f1": pytest.approx((2 / 3 + 0 + 1 + 0 + 1) / 5),
        "has_answer_exact_match": 0,
        "has_answer_f1": pytest.approx((2 / 3) / 2),
        "no_answer_exact_match": pytest.approx(2 / 3),
        "no_answer_f1": pytest.approx(2 / 3),
    }


def test_what_no_question_is_of_has_no_score() -> None:
    found = squad.marks(["red"], [["red"]], unanswerable=True)
    scores = squad.scores(found, [["red"]], unanswerable=True)
    assert scores["no_answer_f1"] is None
    assert scores["has_answer_f1"] == 1


def test_the_threshold_by_hand() -> None:
    """Answering the first two of four gains 1 + 0.5; the third loses 1."""
    answered = squad.Marks(np.zeros(4), np.array([1, 0.5, 0, 0.2]))
    silent = squad.Marks(np.zeros(4), np.array([0.0, 0, 1, 0]))
    assert squad.best_threshold([-3.0, 0.0, 1.0, 5.0], answered, silent) == 0.5


@pytest.mark.parametrize(("gain", "threshold"), [(-1.0, -4.0), (1.0, 6.0)])
def test_to_answer_nothing_or_everything_has_a_finite_threshold(gain: float, threshold: float) -> None:
    answered = squad.Marks(np.zeros(2), np.full(2, max(gain, 0)))
    silent = squad.Marks(np.zeros(2), np.full(2, max(-gain, 0)))
    assert squad.best_threshold([5.0, -3.0], answered, silent) == threshold


marks = st.lists(st.floats(0, 1, width=16), min_size=1, max_size=12)


@given(st.data(), marks)
def test_no_threshold_is_better(data: st.DataObject, answered: list[float]) -> None:
    size = {"min_size": len(answered), "max_size": len(answered)}
    silent = data.draw(st.lists(st.sampled_from([0.0, 1.0]), **size))
    margins = data.draw(st.lists(st.integers(-3, 3).map(float), **size))

    def reached(threshold: float) -> float:
        return sum(
            without if margin > threshold else own
            for own, without, margin in zip(answered, silent, margins, strict=True)
        )

    chosen = squad.best_threshold(
        margins,
        squad.Marks(np.zeros(len(answered)), np.array(answered)),
        squad.Marks(np.zeros(len(answered)), np.array(silent)),
    )
    assert math.isfinite(chosen)
    assert reached(chosen) == pytest.approx(max(reached(t + 0.5) for t in range(-5, 5)))
