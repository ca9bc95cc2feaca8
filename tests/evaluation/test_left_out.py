"""The score without each example gives the standard error that textbooks give where they give one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.left_out import of_marks, of_predictions, scores_without_each, standard_error
from pipeline.tasks.metrics import Array

ACCURACY = of_predictions(["accuracy"])
LABELS = st.integers(0, 1)


@st.composite
def two_models(draw: st.DrawFn) -> tuple[Array, Array]:
    """Rows [N, 2] of prediction and label of two models on the same examples."""
    rows = draw(st.lists(st.tuples(LABELS, LABELS, LABELS), min_size=4, max_size=40))
    first, second, labels = (np.array(column) for column in zip(*rows, strict=True))
    return np.stack([first, labels], axis=1), np.stack([second, labels], axis=1)


@given(models=two_models())
def test_for_accuracy_it_is_the_error_of_the_mean_of_paired_differences(models: tuple[Array, Array]) -> None:
    first, second = ((rows[:, 0] == rows[:, 1]).astype(float) for rows in models)
    expected = np.std(first - second, ddof=1) / math.sqrt(len(first))
    assert standard_error(*(scores_without_each(rows, ACCURACY) for rows in models)) == pytest.approx(
        expected, abs=1e-9
    )


def test_mcnemar_by_hand() -> None:
    """Of 100 examples the first alone is right on 12, the second alone on 4."""
    labels = np.ones(100)
    first, second = labels.copy(), labels.copy()
    first[:4], second[4:16] = 0, 0
    models = (np.stack([predicted, labels], axis=1) for predicted in (first, second))
    error = standard_error(*(scores_without_each(rows, ACCURACY) for rows in models))
    # Differences: 12 times 1, 4 times -1, 84 times 0. Mean 0.08, sum of squares 16.
    assert error == pytest.approx(math.sqrt((16 - 100 * 0.08**2) / 99 / 100))


def test_what_both_get_right_or_wrong_is_no_reason_to_doubt() -> None:
    rows = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    without = scores_without_each(rows, ACCURACY)
    assert standard_error(without, without) == 0


@settings(max_examples=30)
@given(models=two_models())
def test_leaving_out_by_kind_is_leaving_out_one_by_one(models: tuple[Array, Array]) -> None:
    score = of_predictions(["accuracy", "f1"])
    one_by_one = [score(np.delete(models[0], row, axis=0)) for row in range(len(models[0]))]
    expected = [np.nan if value is None else value for value in one_by_one]
    np.testing.assert_array_equal(scores_without_each(models[0], score), expected)


def test_matthews_agrees_with_drawing_examples_anew() -> None:
    """2000 draws know a standard error to 1.6 % (1/sqrt(4000)); 10 % leaves room for the jackknife."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 400)
    first, second = (np.where(draw.random(400) < right, labels, 1 - labels) for right in (0.85, 0.75))
    score = of_predictions(["matthews_correlation"])
    models = [np.stack([predicted, labels], axis=1) for predicted in (first, second)]
    differences = []
    for _ in range(2000):
        rows = draw.integers(0, 400, 400)
        a, b = (score(model[rows]) for model in models)
        assert a is not None
        assert b is not None
        differences.append(a - b)
    error = standard_error(*(scores_without_each(rows, score) for rows in models))
    assert error == pytest.approx(np.std(differences), rel=0.1)


def test_marks_are_averaged() -> None:
    marks = np.array([[1.0], [0.5], [0.0]])
    np.testing.assert_allclose(scores_without_each(marks, of_marks), [0.25, 0.5, 0.75])


def test_a_score_that_one_example_holds_up_is_undefined_without_it() -> None:
    rows = np.array([[1, 1], [0, 0], [0, 1], [0, 0]])  # one positive answer alone
    without = scores_without_each(rows, of_predictions(["matthews_correlation"]))
    assert np.isnan(without).tolist() == [True, False, False, False]
