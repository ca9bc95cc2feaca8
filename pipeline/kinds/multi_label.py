"""Several labels at once, or none of them.

Each label is a yes or no of its own. The probability from which on a text has a label is chosen on the
selection split, label by label, so that the label's F1 is largest there (SCut: Yang 2001,
doi:10.1145/383952.383975), and travels with the model.
"""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bitladder.heads import KIND_KEY, THRESHOLDS_KEY, sigmoid
from pipeline.kinds.columns import LABEL
from pipeline.kinds.kind import Chosen, Kind, Outcome, Rows
from pipeline.kinds.metrics import Array, Scores, f1_of_counts
from pipeline.params import Task

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_EVEN = 0.5  # of a label that no row of the selection split has
_EDGE = 1e-6  # a threshold lies between 0 and 1


class MultiLabel(Kind):
    problem_type = "multi_label_classification"
    loss = "binary_cross_entropy"
    metrics = ("micro_f1", "macro_f1", "accuracy")
    has_names = True
    constant_is = "Always giving the most frequent labels"
    chosen_as = "thresholds"
    chosen_is = "A text has a label when its probability is at least the label's threshold"
    metrics_are = (
        "Micro F1: over all labels of all rows together; macro F1: the mean of the F1 of each label. "
        "Accuracy: share of rows whose labels are all right."
    )

    def read(self, table: "pa.Table", task: Task, *, source: str, training: bool) -> "pd.DataFrame":
        """`label` holds, in each row, a list of names or of their numbers; or there is a column of 0 and 1
        for each label, of its name. It becomes a list with 0 or 1 for each label."""
        from pipeline.kinds import label_lists

        return label_lists.checked(table, task, source=source, training=training)

    def label_keys(self, frame: "pd.DataFrame") -> "pd.Series[Any]":
        return frame[LABEL].map(tuple)

    def counts(self, frame: "pd.DataFrame", task: Task) -> dict[str, float | int]:
        labels_NL = self.labels(frame, task)
        every = dict(zip(task.label_names, labels_NL.sum(axis=0).astype(int).tolist(), strict=True))
        return {**every, "(none)": int((labels_NL.sum(axis=1) == 0).sum())}

    def settings(self, task: Task) -> dict[str, Any]:
        return {KIND_KEY: "multi_label", THRESHOLDS_KEY: [_EVEN] * len(task.label_names)}

    def labels(self, frame: "pd.DataFrame", task: Task) -> Array:
        return np.array(frame[LABEL].tolist(), np.float32).reshape(len(frame), len(task.label_names))

    def outcome(self, logits: Array, rows: Rows, task: Task, chosen: Chosen) -> Outcome:
        thresholds = thresholds_of(logits, rows.labels) if chosen is None else chosen
        predicted_NL = self.decided(logits, thresholds)
        truth_NL = rows.labels.astype(np.bool)
        examples_NK = np.concatenate([predicted_NL, truth_NL], axis=1)
        answers, truth = (list(map(tuple, one.tolist())) for one in (predicted_NL, truth_NL))
        return Outcome(examples_NK, answers, truth, right=self.accuracy(examples_NK), chosen=thresholds)

    def decided(self, logits: Array, chosen: Chosen) -> Array:
        """[N, L], whether each has the label."""
        found: Array = sigmoid(logits) >= np.asarray(_EVEN if chosen is None else chosen)
        return found

    def classes(
        self, answers: Sequence[Hashable], truth: Sequence[Hashable], task: Task
    ) -> dict[str, tuple[int, int]]:
        """Of each label: the rows that have it, and those of them that were not given it."""
        said_NL, truth_NL = (np.array(one, np.bool).reshape(-1, task.num_labels) for one in (answers, truth))
        rows_L, missed_L = truth_NL.sum(axis=0), (truth_NL & ~said_NL).sum(axis=0)
        return dict(zip(task.label_names, zip(rows_L.tolist(), missed_L.tolist(), strict=True), strict=True))

    def in_words(self, answer: Any, task: Task) -> str:
        return ", ".join(name for name, has in zip(task.label_names, answer, strict=True) if has) or "(none)"

    def measured(self, names: Sequence[str], examples_NK: Array, task: Task) -> Scores:
        predicted_NL, truth_NL = np.split(examples_NK.astype(np.float64), 2, axis=1)
        counts = [one.sum(axis=0) for one in (predicted_NL * truth_NL, predicted_NL, truth_NL)]
        # As scikit-learn, a label that is neither given nor wanted has an F1 of 0.
        by_label = [f1_of_counts(*own) or 0.0 for own in zip(*counts, strict=True)]
        found = {
            "micro_f1": f1_of_counts(*(float(one.sum()) for one in counts)),
            "macro_f1": float(np.mean(by_label)),
            "accuracy": self.accuracy(examples_NK),
        }
        return {name: found[name] for name in names}

    def accuracy(self, examples_NK: Array) -> float | None:
        """Share of rows whose labels are all right."""
        predicted_NL, truth_NL = np.split(examples_NK, 2, axis=1)
        return float((predicted_NL == truth_NL).all(axis=1).mean())

    def constant(self, frame: "pd.DataFrame", task: Task) -> tuple[float | None, float | None]:
        labels_NL = self.labels(frame, task)
        sets, counts = np.unique(labels_NL, axis=0, return_counts=True)
        same_NL = np.broadcast_to(sets[counts.argmax()], labels_NL.shape)
        examples_NK = np.concatenate([same_NL, labels_NL], axis=1)
        return self.accuracy(examples_NK), self.score(examples_NK, task)

    def noted(self, config: Any) -> Chosen:
        found: list[float] | None = getattr(config, THRESHOLDS_KEY, None)
        return found

    def note(self, config: Any, chosen: Chosen) -> None:
        setattr(config, THRESHOLDS_KEY, chosen)


def thresholds_of(logits_NL: Array, labels_NL: Array) -> list[float]:
    """By label, the probability from which on these rows have it with the largest F1; of equals the nearest
    to 0.5."""
    return [_threshold(*own) for own in zip(sigmoid(logits_NL).T, labels_NL.T, strict=True)]


def _threshold(shares_N: Array, labels_N: Array) -> float:
    if not labels_N.any():
        return _EVEN
    order = np.argsort(-shares_N, kind="stable")
    sorted_N, right_N = shares_N[order], labels_N[order].cumsum()
    # After the first k rows: between equal probabilities no threshold fits.
    f1_N = 2 * right_N / (np.arange(1, len(order) + 1) + labels_N.sum())
    below_N = np.append(sorted_N[1:], 0.0)
    f1_N = np.where(below_N < sorted_N, f1_N, -1.0)
    middle_N = np.clip((sorted_N + below_N) / 2, _EDGE, 1 - _EDGE)
    best = np.flatnonzero(f1_N >= f1_N.max())
    return float(middle_N[best[np.abs(middle_N[best] - _EVEN).argmin()]])
