"""Run a task's model over a split and score its answers: labels, a number, or answers to questions.

Shapes: N rows of the split, L labels; logits of a question-answering model are [N, 2, S], padded to the
longest window.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from bitladder.modeling.traces import PADDING, logits_of
from bitladder.text.spans import Span, answers, best_spans
from pipeline.params import Answering, Task
from pipeline.tasks import metrics, squad
from pipeline.tasks.batches import Encoded, encode, inputs_of
from pipeline.tasks.metrics import Array, Scores
from pipeline.tasks.windows import Windows, encode_windows

BATCH_SIZE = 64
Split = Encoded | Windows


@dataclass(frozen=True)
class Scored:
    """Attributes:
    logits_NL: raw outputs in the order of the rows.
    scores: the task's official metrics.
    score: their mean (F1 alone for question answering), None when one is undefined.
    right: share of the rows that are answered exactly right; None for a regression.
    threshold: margin over which "no answer" was said, where questions may have none.
    rows_NK: what the score is made of, example by example: prediction and label, or a question's F1.
    collapsed: see `gives_one_answer`; not where there is no score.
    """

    logits_NL: Array
    scores: Scores
    score: float | None
    right: float | None = None
    threshold: float | None = None
    rows_NK: Array | None = None
    collapsed: bool = False


def read(frame: pd.DataFrame, task: Task, tokenizer_folder: Path) -> Split:
    """Tokenize a split's rows; contexts of questions are cut into windows."""
    if task.answering is None:
        return encode(frame, task.sentence_columns, tokenizer_folder, max_length=task.max_length)
    return encode_windows(frame, tokenizer_folder, task.answering, max_length=task.max_length)


def rows(split: Split) -> Encoded:
    """What a model is trained on: the sentences, or the windows."""
    return split.rows if isinstance(split, Windows) else split


def score(model: Any, split: Split, task: Task, *, threshold: float | None = None) -> Scored:
    """The task's official metrics of a model on one split; `threshold` as in `score_answers`."""
    return score_logits(logits(model, rows(split)), split, task, threshold=threshold)


def score_logits(logits_NL: Array, split: Split, task: Task, *, threshold: float | None = None) -> Scored:
    """The same of what a model has put out for the split's rows."""
    if isinstance(split, Encoded):
        return score_labels(logits_NL, split, list(task.metrics), regression=task.kind == "regression")
    assert task.answering is not None
    return score_answers(logits_NL, split, task.answering, threshold=threshold)


@torch.no_grad()
def logits(model: Any, split: Encoded) -> Array:
    """Outputs [N, L] or [N, 2, S] of a model in eval mode; it is left in the mode it was in."""
    was_training = model.training
    model.eval()
    device = next(iter(model.parameters())).device
    outputs = []
    for batch in split.batches(BATCH_SIZE):
        inputs = {name: tensor.to(device) for name, tensor in inputs_of(batch).items()}
        outputs.append(logits_of(model(**inputs), inputs["attention_mask"]).float().cpu())
    model.train(was_training)
    widest = max(output.shape[-1] for output in outputs)
    padded = [functional.pad(output, (0, widest - output.shape[-1]), value=PADDING) for output in outputs]
    return torch.cat(padded).numpy()


def score_labels(logits_NL: Array, split: Encoded, metric_names: list[str], *, regression: bool) -> Scored:
    """Score a classifier or a regression. Logits that are not finite give undefined scores."""
    if not np.isfinite(logits_NL).all():
        return Scored(logits_NL, dict.fromkeys(metric_names), None)
    predicted_N, labels_N = metrics.predictions(logits_NL, regression=regression), split.labels.numpy()
    scores = metrics.compute(metric_names, predicted_N, labels_N)
    return Scored(
        logits_NL,
        scores,
        metrics.mean_score(scores),
        right=None if regression else metrics.compute(["accuracy"], predicted_N, labels_N)["accuracy"],
        rows_NK=np.stack([predicted_N, labels_N], axis=1),
        collapsed=gives_one_answer(predicted_N.tolist(), labels_N.tolist()),
    )


def score_answers(
    logits_N2S: Array, windows: Windows, answering: Answering, *, threshold: float | None = None
) -> Scored:
    """Score answers to questions. Logits that are not finite give undefined scores.

    Args:
        threshold: margin over which "no answer" is said, where there may be none; without one, the best on
            this very split, which only the split may use that checkpoints are chosen on.
    """
    unanswerable = answering.unanswerable
    if not np.isfinite(logits_N2S).all():
        return Scored(logits_N2S, dict.fromkeys((squad.EXACT_MATCH, squad.F1)), None)
    spans = best_spans(logits_N2S, windows, max_answer_length=answering.max_answer_length)
    if unanswerable and threshold is None:
        threshold = chosen_threshold(spans, windows.answers)
    predicted = answers(spans, threshold if unanswerable else None)
    marks = squad.marks(predicted, windows.answers, unanswerable=unanswerable)
    scores = squad.scores(marks, windows.answers, unanswerable=unanswerable)
    return Scored(
        logits_N2S,
        scores,
        scores[squad.F1],
        right=scores[squad.EXACT_MATCH],
        threshold=threshold if unanswerable else None,
        rows_NK=marks.f1[:, None],
        collapsed=gives_one_answer(predicted, list(map(tuple, windows.answers))),
    )


def chosen_threshold(spans: Sequence[Span], given: Sequence[Sequence[str]]) -> float:
    """The margin over which "no answer" is said, so that the F1 of these questions is largest."""
    answered = squad.marks([span.text for span in spans], given, unanswerable=True)
    silent = squad.marks([squad.NO_ANSWER] * len(spans), given, unanswerable=True)
    return squad.best_threshold([span.margin for span in spans], answered, silent)


def gives_one_answer(answers: Sequence[Hashable], right: Sequence[Hashable]) -> bool:
    """Whether all rows get the very same answer though not all should: the model ignores its input."""
    return len(set(answers)) == 1 < len(set(right))
