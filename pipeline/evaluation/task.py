"""A split as a task's model reads it, and the score it gets there: sentences or questions, one way to ask."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.evaluation.answering import score_answers
from pipeline.evaluation.score import Scored
from pipeline.evaluation.score import score as score_labels
from pipeline.params import Task
from pipeline.tasks.batches import Encoded, encode
from pipeline.tasks.windows import Windows, encode_windows

Split = Encoded | Windows


def read(frame: pd.DataFrame, task: Task, tokenizer_folder: Path) -> Split:
    """Tokenize a split's rows; contexts of questions are cut into windows."""
    if task.answering is None:
        return encode(frame, task.sentence_columns, tokenizer_folder, max_length=task.max_length)
    return encode_windows(
        frame,
        tokenizer_folder,
        max_length=task.max_length,
        doc_stride=task.answering.doc_stride,
        max_question_length=task.answering.max_question_length,
    )


def rows(split: Split) -> Encoded:
    """What a model is trained on: the sentences, or the windows."""
    return split.rows if isinstance(split, Windows) else split


def score(model: Any, split: Split, task: Task, *, threshold: float | None = None) -> Scored:
    """The task's official metrics of a model on one split; `threshold` as in `score_answers`."""
    if isinstance(split, Windows):
        assert task.answering is not None
        return score_answers(
            model,
            split,
            max_answer_length=task.answering.max_answer_length,
            unanswerable=task.answering.unanswerable,
            threshold=threshold,
        )
    return score_labels(model, split, list(task.metrics), regression=task.kind == "regression")
