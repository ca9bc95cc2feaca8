"""Tasks of every kind, in memory."""

from typing import Any

from pipeline.params import Task

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SETS: list[dict[str, Any]] = [
    {"name": "searched", "file": "searched.csv", "columns": ["question", "paragraph"]},
    {"name": "pairs", "file": "pairs.csv", "columns": ["first", "second"], "label": "alike"},
    {"name": "graded", "file": "graded.csv", "columns": ["first", "second"], "score": "score"},
]
_OWN: dict[str, dict[str, Any]] = {
    "classification": {"label_names": ["no", "yes"], "metrics": ["accuracy"]},
    "multi_label": {"label_names": ["angry", "funny", "long"], "metrics": ["micro_f1", "macro_f1"]},
    "regression": {"metrics": ["pearson"], "range": [0, 5]},
    "embeddings": {"metrics": ["recall_at_10", "recall_at_1", "ndcg_at_10", "average_precision", "spearman"],
                   "judged_by": SETS, "validation_splits": [one["name"] for one in SETS]},
    "reranking": {"metrics": ["average_precision", "ndcg_at_10", "mrr_at_10"],
                  "sentence_columns": ["query", "text"]},
    "token_classification": {"label_names": TAGS, "metrics": ["entity_f1", "entity_precision"]},
}  # fmt: skip


def task(kind: str, **changes: Any) -> Task:
    usual = {"name": "made_up", "sentence_columns": ["text"], "label_names": []}
    rest = {"validation_splits": ["validation"], "max_length": 16, "selection_fraction": 0.1}
    return Task.model_validate({**usual, **rest, "kind": kind, **_OWN[kind], **changes})
