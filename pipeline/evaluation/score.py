"""Run a classifier over a tokenized split and score it.

Shapes: N rows of the split, L labels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.data.encode import Encoded
from pipeline.evaluation import metrics
from pipeline.evaluation.metrics import Array, Scores

BATCH_SIZE = 64


@dataclass(frozen=True)
class Scored:
    """Attributes:
    logits_NL: raw outputs in the order of the rows.
    scores: the task's official metrics.
    score: their mean, None when one is undefined.
    """

    logits_NL: Array
    scores: Scores
    score: float | None


@torch.no_grad()
def logits(model: Any, split: Encoded) -> Array:
    """Outputs [N, L] of a model in eval mode; it is left in the mode it was in."""
    was_training = model.training
    model.eval()
    device = next(iter(model.parameters())).device
    outputs = []
    for batch in split.batches(BATCH_SIZE):
        inputs = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
        outputs.append(model(**inputs).logits.float().cpu())
    model.train(was_training)
    return torch.cat(outputs).numpy()


def score(model: Any, split: Encoded, metric_names: list[str], *, regression: bool) -> Scored:
    """Score a model on one split. Logits that are not finite give undefined scores."""
    logits_NL = logits(model, split)
    if not np.isfinite(logits_NL).all():
        return Scored(logits_NL, dict.fromkeys(metric_names), None)
    predicted_N = metrics.predictions(logits_NL, regression=regression)
    scores = metrics.compute(metric_names, predicted_N, split.labels.numpy())
    return Scored(logits_NL, scores, metrics.mean_score(scores))
