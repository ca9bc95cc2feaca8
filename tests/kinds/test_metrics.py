"""GLUE's metrics: scikit-learn's and scipy's figures, and None where there is no figure."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from pipeline.kinds.metrics import METRICS, compute, mean_score

CLASSES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30)
VALUES = st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 25)), min_size=3, max_size=30)


def columns(pairs: list[tuple[int, int]], dtype: str = "int64") -> tuple[np.ndarray, np.ndarray]:
    predicted, labels = np.array(pairs, dtype=dtype).T
    return predicted, labels


@given(CLASSES)
def test_accuracy_and_f1_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = columns(pairs)
    scores = compute(["accuracy", "f1"], predicted, labels)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    if predicted.any() or labels.any():
        assert scores["f1"] == pytest.approx(f1_score(labels, predicted))
    else:
        assert scores["f1"] is None


@given(CLASSES)
def test_matthews_is_scikit_learns_or_undefined_for_a_single_class(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = columns(pairs)
    found = compute(["matthews_correlation"], predicted, labels)["matthews_correlation"]
    if len(set(predicted)) == 2 and len(set(labels)) == 2:
        assert found == pytest.approx(matthews_corrcoef(labels, predicted))
    else:
        assert found is None, "scikit-learn says 0, which would rank a collapsed model above a bad one"


@given(VALUES)
def test_correlations_are_scipys_or_undefined_for_constants(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = columns(pairs, "float32")
    scores = compute(["pearson", "spearman"], predicted / 10, labels / 5)
    for name, function in (("pearson", pearsonr), ("spearman", spearmanr)):
        if len(set(predicted)) > 1 and len(set(labels)) > 1:
            assert scores[name] == pytest.approx(function(predicted / 10, labels / 5).statistic)
        else:
            assert scores[name] is None


def test_worked_by_hand() -> None:
    predicted, labels = np.array([1, 1, 0, 0, 1]), np.array([1, 0, 0, 0, 1])
    scores = compute(["accuracy", "f1", "matthews_correlation"], predicted, labels)
    # 2 true positives, 1 false positive, 2 true negatives.
    assert scores == pytest.approx({"accuracy": 0.8, "f1": 0.8, "matthews_correlation": 4 / 6})
    values, truth = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0])
    assert compute(["pearson", "spearman"], values, truth) == pytest.approx(
        {"pearson": 1 / math.sqrt(2 * 14 / 3), "spearman": 0.5}
    )


def test_three_classes_have_an_accuracy() -> None:
    assert compute(["accuracy"], np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])) == {"accuracy": 0.75}


@pytest.mark.parametrize("name", METRICS)
def test_a_perfect_model_has_one(name: str) -> None:
    labels = np.array([0, 1, 1, 0, 1])
    assert compute([name], labels, labels)[name] == pytest.approx(1)


def test_the_score_is_the_mean_and_none_when_one_metric_is() -> None:
    assert mean_score({"accuracy": 0.5, "f1": 1.0}) == 0.75
    assert mean_score({"accuracy": 0.5, "f1": None}) is None
    assert mean_score({}) is None


def test_an_unknown_metric_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        compute(["bleu"], np.array([0]), np.array([0]))
