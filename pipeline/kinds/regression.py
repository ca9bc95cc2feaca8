"""A number for a text or a pair (STS-B); it lies in the task's range."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.kinds import metrics
from pipeline.kinds.columns import LABEL
from pipeline.kinds.kind import Chosen, Found, Kind, Outcome, Rows
from pipeline.kinds.metrics import Array, Scores
from pipeline.params import Task

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Regression(Kind):
    problem_type = "regression"
    loss = "squared_error"
    metrics = ("pearson", "spearman")
    score_is = "mean"
    is_glue = True

    def problems(self, task: Task) -> Found:
        yield from super().problems(task)
        if task.range is None:
            yield "range", "missing; a regression needs the least and the greatest label, e.g. [0, 5]"

    def read(self, table: "pa.Table", task: Task, *, source: str, training: bool) -> "pd.DataFrame":
        from pipeline.kinds import checks

        return checks.checked(
            table,
            source=source,
            sentence_columns=task.sentence_columns,
            num_labels=None,
            training=training,
            between=task.range,
        )

    def counts(self, frame: "pd.DataFrame", task: Task) -> dict[str, float | int]:
        """The least, the mean and the greatest."""
        labels = frame[LABEL]
        return {"min": float(labels.min()), "mean": float(labels.mean()), "max": float(labels.max())}

    def outcome(self, logits: Array, rows: Rows, task: Task, chosen: Chosen) -> Outcome:
        examples_N2 = np.stack([logits[:, 0], rows.labels], axis=1)
        return Outcome(examples_N2, logits[:, 0].tolist(), rows.labels.tolist())

    def right(self, answers: Sequence[Hashable], truth: Sequence[Hashable]) -> None:
        return None

    def decided(self, logits: Array, chosen: Chosen) -> None:
        return None

    def measured(self, names: Any, examples_NK: Array, task: Task) -> Scores:
        return metrics.compute(names, examples_NK[:, 0], examples_NK[:, 1])
