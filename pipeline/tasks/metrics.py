"""The official metrics of GLUE (Wang et al., arXiv:1804.07461), computed by scikit-learn and scipy.

An undefined metric (one predicted class for Matthews, constant predictions for a correlation) is None, never
0 or NaN: a collapsed model must not compete.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Scores = dict[str, float | None]


def compute(metrics: list[str], predictions_N: Array, labels_N: Array) -> Scores:
    """Each metric by name; predictions are class numbers, or values for regression."""
    found = {name: METRICS[name](predictions_N, labels_N) for name in metrics}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def mean_score(scores: Scores) -> float | None:
    """GLUE's task score: the mean of the task's official metrics; None when one of them is undefined."""
    values = list(scores.values())
    if not values or any(value is None for value in values):
        return None
    return float(np.mean([value for value in values if value is not None]))


def predictions(logits_NL: Array, *, regression: bool) -> Array:
    """Class numbers [N], or the single output [N] for regression."""
    return logits_NL[:, 0] if regression else logits_NL.argmax(axis=1)


def _accuracy(predictions_N: Array, labels_N: Array) -> float:
    return float((predictions_N == labels_N).mean())


def _f1(predictions_N: Array, labels_N: Array) -> float:
    """F1 of class 1. Undefined when nobody predicts it and nothing has it."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels_N, predictions_N, zero_division=np.nan))


def _matthews_correlation(predictions_N: Array, labels_N: Array) -> float:
    from sklearn.metrics import matthews_corrcoef

    if len(np.unique(predictions_N)) < 2 or len(np.unique(labels_N)) < 2:
        return math.nan  # scikit-learn answers 0, which would rank a collapsed model
    return float(matthews_corrcoef(labels_N, predictions_N))


def _correlation(name: str, predictions_N: Array, labels_N: Array) -> float:
    """`pearsonr` or `spearmanr`."""
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant input: the NaN it returns says it
        return float(getattr(stats, name)(predictions_N, labels_N).statistic)


METRICS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews_correlation": _matthews_correlation,
    "pearson": partial(_correlation, "pearsonr"),
    "spearman": partial(_correlation, "spearmanr"),
}
