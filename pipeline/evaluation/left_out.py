"""How much a score hangs on the examples that it was counted on: the score without each of them in turn.

The delete-one jackknife (Quenouille 1956; Tukey 1958). From the scores of two models without example i,
d_i = first_i - second_i, comes the standard error of their difference over draws of N such examples:

    sqrt((N - 1) / N * sum((d_i - mean(d))^2))

It is paired, both models answer the same examples, and works for any smooth score: Matthews correlation, F1,
a mean of two metrics. For accuracy it is exactly the standard error of the mean of the examples' differences,
which McNemar's test looks at too.

Shapes: N examples, K numbers that an example's part of the score is made of (`Scored.rows_NK`).
"""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.evaluation.results import Measure
from pipeline.tasks import metrics
from pipeline.tasks.metrics import Array

Score = Callable[[Array], float | None]


def measures(kind: str, metric_names: Sequence[str]) -> dict[Measure, Score]:
    """How each measure of a kind of task comes from `Scored.rows_NK`."""
    if kind == "question_answering":
        return {"score": of_marks}
    if kind == "regression":
        return {"score": of_predictions(metric_names)}
    return {"score": of_predictions(metric_names), "accuracy": of_predictions(["accuracy"])}


def of_predictions(metric_names: Sequence[str]) -> Score:
    """The mean of these metrics, from rows of prediction and label."""

    def score(rows_N2: Array) -> float | None:
        return metrics.mean_score(metrics.compute(list(metric_names), rows_N2[:, 0], rows_N2[:, 1]))

    return score


def of_marks(rows_N1: Array) -> float | None:
    """The mean, where every example has a mark of its own."""
    return float(rows_N1.mean())


def scores_without_each(rows_NK: Array, score: Score) -> Array:
    """The score without example i, [N]; NaN where undefined. Of examples that are alike one is left out."""
    _, first, kind_of = np.unique(rows_NK, axis=0, return_index=True, return_inverse=True)
    found = [score(np.delete(rows_NK, row, axis=0)) for row in first]
    without = np.array([np.nan if value is None else value for value in found])
    return without[kind_of.reshape(-1)]


def standard_error(first_N: Array, second_N: Array) -> float:
    """Of the difference of two models' scores, from those without each example."""
    difference_N = first_N - second_N
    num_examples = len(difference_N)
    return float(np.sqrt((num_examples - 1) * difference_N.var()))
