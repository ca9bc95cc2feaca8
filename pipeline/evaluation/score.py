"""Run a model over a tokenized split, and score a classifier's answers.

Shapes: N rows of the split, L labels; logits of a question-answering model are [N, 2, S], padded to the
longest window.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from bitladder.modeling.traces import PADDING, logits_of
from pipeline.evaluation import metrics
from pipeline.evaluation.metrics import Array, Scores
from pipeline.tasks.batches import Encoded, inputs_of

BATCH_SIZE = 64


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


def score(model: Any, split: Encoded, metric_names: list[str], *, regression: bool) -> Scored:
    """Score a model on one split. Logits that are not finite give undefined scores."""
    logits_NL = logits(model, split)
    if not np.isfinite(logits_NL).all():
        return Scored(logits_NL, dict.fromkeys(metric_names), None)
    predicted_N = metrics.predictions(logits_NL, regression=regression)
    labels_N = split.labels.numpy()
    scores = metrics.compute(metric_names, predicted_N, labels_N)
    right = None if regression else metrics.compute(["accuracy"], predicted_N, labels_N)["accuracy"]
    rows_N2 = np.stack([predicted_N, labels_N], axis=1)
    return Scored(
        logits_NL,
        scores,
        metrics.mean_score(scores),
        right,
        rows_NK=rows_N2,
        collapsed=gives_one_answer(predicted_N.tolist(), labels_N.tolist()),
    )


def gives_one_answer(answers: Sequence[Hashable], right: Sequence[Hashable]) -> bool:
    """Whether all rows get the very same answer though not all should: the model ignores its input."""
    return len(set(answers)) == 1 < len(set(right))
