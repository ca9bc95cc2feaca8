"""Metrics of labels and numbers: those of GLUE (Wang et al., arXiv:1804.07461), by scikit-learn and scipy,
F1 over several labels at once, and what rankings are judged by.

An undefined metric (one predicted class for Matthews, constant predictions for a correlation) is None, never
0 or NaN: a collapsed model must not compete.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Scores = dict[str, float | None]


def compute(metrics: Sequence[str], predictions_N: Array, labels_N: Array) -> Scores:
    """Each metric by name; predictions are class numbers, or values for regression."""
    found = {name: METRICS[name](predictions_N, labels_N) for name in metrics}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def mean_score(scores: Scores) -> float | None:
    """GLUE's task score: the mean of the task's official metrics; None when one of them is undefined."""
    values = list(scores.values())
    if not values or any(value is None for value in values):
        return None
    return float(np.mean([value for value in values if value is not None]))


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


def f1_of_counts(right: float, predicted: float, wanted: float) -> float | None:
    """2 right / (predicted + wanted); None where nothing is predicted and nothing wanted."""
    return 2 * right / (predicted + wanted) if predicted + wanted else None


def average_precision(relevances: Array) -> float:
    """Mean, over the relevant texts of a ranking, of the share that is relevant down to each.

    Args:
        relevances: of the texts, the best ranked first; above 0 is relevant, and one at least is.
    """
    ranks = np.flatnonzero(relevances > 0) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def reciprocal_rank(relevances: Array, cutoff: int = 10) -> float:
    """1 / rank of the first relevant text; 0 where it stands below the cutoff (MS MARCO's MRR@10)."""
    ranks = np.flatnonzero(relevances[:cutoff] > 0) + 1
    return float(1 / ranks[0]) if len(ranks) else 0.0


def ndcg(relevances: Array, cutoff: int = 10) -> float:
    """Normalized discounted cumulative gain (Järvelin and Kekäläinen 2002): gains are the labels, divided by
    log2(1 + rank), against those of the best ranking that there is."""

    def gain(ranked: Array) -> float:
        top = ranked[:cutoff].astype(np.float64)
        return float((top / np.log2(np.arange(2, len(top) + 2))).sum())

    return gain(relevances) / gain(np.sort(relevances)[::-1])


TITLES = {
    "accuracy": "accuracy",
    "f1": "F1",
    "matthews_correlation": "Matthews",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "exact_match": "EM",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "entity_f1": "entity F1",
    "entity_precision": "precision",
    "entity_recall": "recall",
    "average_precision": "MAP",
    "ndcg_at_10": "nDCG@10",
    "mrr_at_10": "MRR@10",
    "recall_at_1": "recall@1",
    "recall_at_10": "recall@10",
}

METRICS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews_correlation": _matthews_correlation,
    "pearson": partial(_correlation, "pearsonr"),
    "spearman": partial(_correlation, "spearmanr"),
}
