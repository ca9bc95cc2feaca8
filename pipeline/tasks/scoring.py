"""Run a task's model over a split and score what it says, as the task's kind has it.

Shapes: N rows of the split, L labels; S tokens, to which logits of heads that read every token are padded.
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
from pipeline import kinds
from pipeline.kinds import metrics
from pipeline.kinds.embeddings import HELD_OUT
from pipeline.kinds.kind import Chosen, Rows
from pipeline.kinds.metrics import Array, Scores
from pipeline.params import Task
from pipeline.tasks.batches import Encoded, inputs_of

BATCH_SIZE = 64


@dataclass(frozen=True)
class Split:
    """Attributes:
    rows: tokenized, and what scoring needs to know of them.
    encoded: the same as tensors, to learn from.
    """

    rows: Rows
    encoded: Encoded

    def __len__(self) -> int:
        return self.rows.num_examples


@dataclass(frozen=True)
class Scored:
    """Attributes:
    logits: raw outputs in the order of the rows, [N, L] or [N, L, S].
    scores: the task's official metrics, and what else its kind has.
    score: what the task is judged by, None when undefined.
    right: share of the examples that are answered exactly right; None where answers are numbers.
    chosen: what answers were decided by, where a kind has that: thresholds.
    examples_NK: what the score is made of, example by example.
    collapsed: see `gives_one_answer`; not where there is no score.
    answers, truth: as in `Outcome`; empty where there is no score.
    """

    logits: Array
    scores: Scores
    score: float | None
    right: float | None = None
    chosen: Chosen = None
    examples_NK: Array | None = None
    collapsed: bool = False
    answers: Sequence[Hashable] = ()
    truth: Sequence[Hashable] = ()


def read(frame: pd.DataFrame, task: Task, tokenizer_folder: Path) -> Split:
    """Tokenize a split's rows."""
    rows = kinds.of(task).encode(frame, task, tokenizer_folder)
    return Split(rows, encoded(rows, by_token=kinds.of(task).loss == "token_cross_entropy"))


def encoded(rows: Rows, *, by_token: bool = False) -> Encoded:
    tokens = rows.tokens
    labels = torch.from_numpy(np.array(rows.labels))  # a copy: pandas' own may not be written to
    return Encoded(
        tokens.input_ids, tokens.token_type_ids, labels, tokens.num_truncated, tokens.padding, by_token
    )


def score(model: Any, split: Split, task: Task, *, chosen: Chosen = None) -> Scored:
    """The task's official metrics of a model on one split; `chosen` as in `Kind.outcome`."""
    return score_logits(logits(model, split.encoded), split, task, chosen=chosen)


def score_logits(logits: Array, split: Split, task: Task, *, chosen: Chosen = None) -> Scored:
    """The same of what a model has put out. Logits that are not finite give undefined scores."""
    if not np.isfinite(logits).all():
        return Scored(logits, dict.fromkeys(task.metrics), None)
    kind = kinds.of(task)
    found = kind.outcome(logits, split.rows, task, chosen)
    scores = {**kind.measured(task.metrics, found.examples_NK, task), **found.more}
    return Scored(
        logits,
        scores,
        metrics.mean_score({name: scores.get(name) for name in kind.counted(task.metrics)}),
        right=found.right,
        chosen=found.chosen,
        examples_NK=found.examples_NK,
        collapsed=gives_one_answer(found.answers, found.truth),
        answers=found.answers,
        truth=found.truth,
    )


def score_by(taught_NE: Array, model: Any, split: Split) -> Scored:
    """Of vectors: their mean cosine to a teacher's [N, E]."""
    found_NE = logits(model, split.encoded)
    if not np.isfinite(found_NE).all():
        return Scored(found_NE, {HELD_OUT: None}, None)
    cosine_N = (found_NE.astype(np.float64) * taught_NE).sum(axis=1)
    return Scored(found_NE, {HELD_OUT: float(cosine_N.mean())}, float(cosine_N.mean()))


@torch.no_grad()
def logits(model: Any, split: Encoded) -> Array:
    """Outputs [N, L] or [N, L, S] of a model in eval mode; it is left in the mode it was in."""
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


def gives_one_answer(answers: Sequence[Hashable], right: Sequence[Hashable]) -> bool:
    """Whether all rows get the very same answer though not all should: the model ignores its input."""
    return len(set(answers)) == 1 < len(set(right))
