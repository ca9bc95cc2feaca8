"""How well a text answers a query: the texts of one query are ranked by the model's only logit.

Labels are 0 and 1, or grades within `task.range`; the loss is binary cross-entropy against the grade as a
share of the range (as sentence-transformers' CrossEncoder). Metrics are means over queries that have a
relevant text, one with more than the least grade; of texts with equal logits the worse are ranked first, so
that a model which says the same of all gains nothing by the order of a file.
"""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bitladder.heads import KIND_KEY
from pipeline.kinds.columns import LABEL
from pipeline.kinds.kind import Chosen, Kind, Outcome, Rows
from pipeline.kinds.metrics import Array, Scores, average_precision, ndcg, reciprocal_rank
from pipeline.params import Task

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

_BY_QUERY = {"average_precision": average_precision, "ndcg_at_10": ndcg, "mrr_at_10": reciprocal_rank}
_YES_OR_NO = (0.0, 1.0)


class Reranking(Kind):
    loss = "binary_cross_entropy"
    metrics = tuple(_BY_QUERY)
    num_columns = (2,)
    scores_lists = True
    hub_task = "text-ranking"
    metrics_are = (
        "Means over the queries that have a relevant text, of all its texts ranked. MAP: mean average "
        "precision; nDCG@10: gains of the labels, discounted by log2(1 + rank); MRR@10: 1 / rank of the "
        "first relevant one."
    )

    def read(self, table: "pa.Table", task: Task, *, source: str, training: bool) -> "pd.DataFrame":
        from pipeline.kinds import grades

        return grades.checked(table, task, _range(task), source=source)

    def counts(self, frame: "pd.DataFrame", task: Task) -> dict[str, float | int]:
        query, relevant = frame[task.sentence_columns[0]], frame[LABEL] > _range(task)[0]
        return {
            "queries": int(query.nunique()),
            "queries with a relevant text": int(query[relevant].nunique()),
            "relevant": int(relevant.sum()),
        }

    def groups(self, frame: "pd.DataFrame", task: Task) -> list[str]:
        """Texts of a query stay together."""
        return list(frame[task.sentence_columns[0]])

    def label_names(self, task: Task) -> list[str]:
        return ["relevance"]

    def settings(self, task: Task) -> dict[str, Any]:
        return {KIND_KEY: "reranking"}

    def labels(self, frame: "pd.DataFrame", task: Task) -> Array:
        low, high = _range(task)
        return ((frame[LABEL].to_numpy() - low) / (high - low)).astype(np.float32)

    def encode(self, frame: "pd.DataFrame", task: Task, tokenizer_folder: "Path") -> Rows:
        rows = super().encode(frame, task, tokenizer_folder)
        queries, grades = frame[task.sentence_columns[0]].to_numpy(str), frame[LABEL].to_numpy()
        _, numbers = np.unique(queries, return_inverse=True)
        groups = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
        beside = [(own, grades[own] - _range(task)[0]) for own in groups]
        return Rows(rows.tokens, rows.labels, rows.num_examples, beside)

    def outcome(self, logits: Array, rows: Rows, task: Task, chosen: Chosen) -> Outcome:
        """Examples are queries."""
        examples = [
            [measure(grades[np.lexsort((grades, -logits[own, 0]))]) for measure in _BY_QUERY.values()]
            for own, grades in rows.beside
            if (grades > 0).any()
        ]
        examples_QK = np.array(examples, np.float64).reshape(-1, len(_BY_QUERY))
        return Outcome(examples_QK, logits[:, 0].tolist(), rows.labels.tolist())

    def right(self, answers: Sequence[Hashable], truth: Sequence[Hashable]) -> None:
        return None

    def decided(self, logits: Array, chosen: Chosen) -> None:
        return None

    def measured(self, names: Sequence[str], examples_NK: Array, task: Task) -> Scores:
        if not len(examples_NK):
            return dict.fromkeys(names)
        means = dict(zip(_BY_QUERY, examples_NK.mean(axis=0).tolist(), strict=True))
        return {name: means[name] for name in names}


def _range(task: Task) -> tuple[float, float]:
    return task.range or _YES_OR_NO
