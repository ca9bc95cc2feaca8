"""One label of several (GLUE's tasks but STS-B, and what people sort texts into)."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.kinds import metrics
from pipeline.kinds.columns import LABEL
from pipeline.kinds.kind import Chosen, Found, Kind, Outcome, Rows, same_everywhere
from pipeline.kinds.metrics import Array, Scores
from pipeline.params import Task

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_TWO_LABELS = ("f1", "matthews_correlation")


class Classification(Kind):
    problem_type = "single_label_classification"
    loss = "cross_entropy"
    metrics = ("accuracy", "f1", "matthews_correlation")
    score_is = "mean"
    has_names = True
    stratified = True
    is_glue = True

    def problems(self, task: Task) -> Found:
        yield from super().problems(task)
        for metric in task.metrics:
            if metric in _TWO_LABELS and len(task.label_names) > 2:
                yield "metrics", f"{metric} needs 2 labels here, and the task has {len(task.label_names)}"

    def read(self, table: "pa.Table", task: Task, *, source: str, training: bool) -> "pd.DataFrame":
        from pipeline.kinds import checks

        checks.refuse(source, checks.name_problems(table, task.label_names))
        return checks.checked(
            table,
            source=source,
            sentence_columns=task.sentence_columns,
            num_labels=len(task.label_names),
            training=training,
        )

    def outcome(self, logits: Array, rows: Rows, task: Task, chosen: Chosen) -> Outcome:
        predicted_N = logits.argmax(axis=1)
        examples_N2 = np.stack([predicted_N, rows.labels], axis=1)
        answers, truth = predicted_N.tolist(), rows.labels.tolist()
        return Outcome(examples_N2, answers, truth, right=self.accuracy(examples_N2))

    def classes(
        self, answers: Sequence[Hashable], truth: Sequence[Hashable], task: Task
    ) -> dict[str, tuple[int, int]]:
        pairs = list(zip(answers, truth, strict=True))
        return {
            name: (sum(of == number for _, of in pairs), sum(said != of == number for said, of in pairs))
            for number, name in enumerate(task.label_names)
        }

    def in_words(self, answer: Any, task: Task) -> str:
        return str(task.label_names[answer])

    def measured(self, names: Any, examples_NK: Array, task: Task) -> Scores:
        return metrics.compute(names, examples_NK[:, 0], examples_NK[:, 1])

    def accuracy(self, examples_NK: Array) -> float | None:
        return metrics.compute(["accuracy"], examples_NK[:, 0], examples_NK[:, 1])["accuracy"]

    def constant(self, frame: "pd.DataFrame", task: Task) -> tuple[float | None, float | None]:
        labels_N = frame[LABEL].to_numpy()
        examples_N2 = np.stack([same_everywhere(labels_N), labels_N], axis=1)
        return self.accuracy(examples_N2), self.score(examples_N2, task)
