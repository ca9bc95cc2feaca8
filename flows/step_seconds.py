"""Real training steps, timed in this process: those of the training loop, on random weights and made-up rows.

Of a deep model two layers are timed, and of a large batch a part: the whole takes as many times as long.
Imports torch; `flows.estimate` imports this when it measures.
"""

import statistics
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, suppress
from dataclasses import asdict, replace
from io import StringIO
from itertools import pairwise

import torch
from torch import Tensor, nn
from transformers.models.bert.configuration_bert import BertConfig

from bitladder.modeling import frozen, routines
from bitladder.modeling.bert import ANSWERER, HEADS_KEY, WIDTH_KEY, build_bert
from bitladder.modeling.share import num_kept
from bitladder.modeling.traces import logits_of
from pipeline.distillation.objective import Portion, label_loss
from pipeline.initialization.step_sizes import calibrate
from pipeline.ladder.sizes import Shape
from pipeline.params import Params
from pipeline.rungs import Rung
from pipeline.tasks.batches import Batch, inputs_of
from pipeline.training.device import choose_threads, copied, device, move, seed_everything
from pipeline.training.loop import LossTerms, Phase, fit
from pipeline.training.teaching import against_teacher, objective

SECONDS_FOR_ALL = 20.0  # models that come later are taken to be as slow as the slowest
SECONDS_FOR_ONE = 1.0  # after a first step that warms up; at least one more is timed
MOST_STEPS = 5
WAITING = 1.1  # clock over processors on a machine that does nothing else: a step waits now and then
MOST_LAYERS, MOST_TOKENS = 2, 2048  # that are timed


def seconds_per_step(
    params: Params, shape: Shape, batch_sizes: Mapping[str, int], notes: list[str]
) -> dict[str, float]:
    """Seconds of a step of each model, by name: a rung, else one that learns from labels.

    How they were timed, and what could not be, is added to `notes`.
    """
    choose_threads(shape.hidden_size)
    seed_everything(params.seed)
    tokens = min(params.task.max_length, shape.max_position_embeddings)
    found, late, deadline = dict[str, float](), list[str](), time.monotonic() + SECONDS_FOR_ALL
    for name in reversed(list(batch_sizes)):  # the slowest come last in most ladders
        size = batch_sizes[name]
        try:
            if found and time.monotonic() > deadline:
                late.append(name)
                found[name] = size * max(found[each] / batch_sizes[each] for each in found)
            else:
                found[name] = _of_one(params, shape, params.rungs.get(name), size, tokens)
        except Exception as error:
            notes.append(f"{name}: not timed: {type(error).__name__}: {error}")
    notes.append(
        f"Time: from a few real steps on rows of {tokens} tokens (shorter ones take less), with "
        f"{torch.get_num_threads()} threads, for a machine that does nothing else."
    )
    if late:
        notes.append(f"Not timed, and taken to be as slow as the slowest: {', '.join(reversed(late))}.")
    return found


def _of_one(params: Params, shape: Shape, rung: Rung | None, batch_size: int, tokens: int) -> float:
    """A step of the whole batch and the whole depth, from one of a part of both."""
    rows = min(batch_size, max(1, MOST_TOKENS // tokens))
    small = replace(shape, num_hidden_layers=min(shape.num_hidden_layers, MOST_LAYERS))
    batch = _made_up(params, shape, rows, tokens)
    seconds = _step(params, *_model_and_loss(params, small, rung, batch), batch)
    return seconds * batch_size / rows * shape.num_hidden_layers / small.num_hidden_layers


def _made_up(params: Params, shape: Shape, rows: int, tokens: int) -> Batch:
    task, size = params.task, (rows, tokens)
    labels = torch.zeros((rows, 2) if task.answering is not None else rows, dtype=torch.long)
    return {
        "input_ids": torch.randint(shape.vocab_size, size),
        "token_type_ids": torch.zeros(size, dtype=torch.long),
        "attention_mask": torch.ones(size, dtype=torch.long),
        "labels": labels.float() if task.kind == "regression" else labels,
    }


def _model_and_loss(
    params: Params, shape: Shape, rung: Rung | None, batch: Batch
) -> tuple[nn.Module, LossTerms]:
    """A rung with a teacher like it; without a rung, a model that learns from the labels."""
    regression = params.task.kind == "regression"
    if rung is None:
        model = build_bert(_config(params, shape, params.training.teacher.dropout))
        move(model)
        return model, _against_labels(regression)
    config = _config(params, shape, params.optimization_of(rung).dropout)
    config.hidden_act = rung.hidden_act or config.hidden_act
    if rung.width != 1:
        heads = num_kept(shape.num_attention_heads, rung.width, "heads")
        setattr(config, WIDTH_KEY, rung.width)
        setattr(config, HEADS_KEY, [list(range(heads))] * shape.num_hidden_layers)
    chosen = routines.choose(params.training.gradients)
    student = build_bert(config, rung.precision)
    move(student)
    calibrate(student, copied(batch, device()))
    routines.use(student, chosen)
    teacher = build_bert(_config(params, shape, 0.0)).requires_grad_(False)
    teacher.eval()  # type: ignore[no-untyped-call]
    move(teacher)
    frozen.convert(teacher, chosen)
    loss = rung.phases[0].distillation if rung.phases else rung.distillation or params.distillation
    return student, against_teacher(teacher, objective(loss, regression=regression))


def _config(params: Params, shape: Shape, dropout: float) -> BertConfig:
    own = {name: size for name, size in asdict(shape).items() if name != "has_pooler"}
    config = BertConfig(**own, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    config.num_labels = params.task.num_labels
    config.architectures = [ANSWERER] if params.task.answering is not None else None
    return config


def _against_labels(regression: bool) -> LossTerms:
    def terms(model: nn.Module, batch: Batch, _: Portion) -> dict[str, Tensor]:
        logits = logits_of(model(**inputs_of(batch)), batch["attention_mask"])
        return {"labels": label_loss(logits, batch["labels"], regression)}

    return terms


class _EnoughError(Exception):
    """Raised instead of the next batch: ends the training loop."""


def _step(params: Params, model: nn.Module, loss_terms: LossTerms, batch: Batch) -> float:
    """Seconds of a step of the training loop, from one batch that it asks for to the next."""
    moments: list[tuple[float, float]] = []  # on the clock, and of this process's processors

    def batches(step: int) -> Batch:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        moments.append((time.perf_counter(), time.process_time()))
        if step > 2 and (step > MOST_STEPS or moments[-1][0] - moments[1][0] > SECONDS_FOR_ONE):
            raise _EnoughError
        return batch

    course, how = [Phase(loss_terms, num_steps=10**6, learning_rate=1e-6)], params.training.rung
    with redirect_stderr(StringIO()), suppress(_EnoughError):  # without the loop's own progress bar
        fit(
            model,
            name="plan",
            batches=batches,
            course=course,
            score=None,
            num_evaluations=1,
            optimization=how,
        )
    took = [(end[0] - start[0], end[1] - start[1]) for start, end in pairwise(moments[1:])]
    if torch.cuda.is_available():
        return statistics.median(seconds for seconds, _ in took)
    # Other work on the machine takes time on the clock, and none of this process's processors.
    threads = torch.get_num_threads()
    return statistics.median(min(seconds, WAITING * own / threads) for seconds, own in took)
