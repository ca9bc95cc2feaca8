"""Real training steps, timed in this process: those of the training loop, on random weights and made-up rows.

Of a deep model two layers are timed, and of a large batch a part: the whole takes as many times as long.
Imports torch; `flows.estimate` imports this when it measures.
"""

import statistics
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, replace
from io import StringIO
from itertools import pairwise

import torch
from torch import nn
from transformers.models.bert.configuration_bert import BertConfig

from bitladder.modeling import routines
from bitladder.modeling.bert import HEADS_KEY, WIDTH_KEY, build_bert, freeze
from bitladder.modeling.share import num_kept
from pipeline import kinds
from pipeline.initialization.step_sizes import calibrate
from pipeline.ladder.sizes import Shape
from pipeline.params import Params
from pipeline.rungs import Rung
from pipeline.tasks.batches import Batch
from pipeline.training.device import choose_threads, copied, device, move, seed_everything
from pipeline.training.fit_models import against_labels
from pipeline.training.loop import LossTerms, Phase, fit
from pipeline.training.teaching import against_teacher, objective

NUM_STEPS = 5  # of each model; the first warms up, and of the last the end is not seen
MOST_LAYERS, MOST_TOKENS = 2, 2048  # that are timed


def of_model(params: Params, shape: Shape, rung: Rung | None, batch_size: int) -> float:
    """Seconds of a step of a rung, or without one of a model that learns from labels.

    Whatever a step may raise: no kernel for this processor, no memory.
    """
    choose_threads(shape.hidden_size)
    seed_everything(params.seed)
    tokens = min(params.task.max_length, shape.max_position_embeddings)
    rows = min(batch_size, max(1, MOST_TOKENS // tokens))
    small = replace(shape, num_hidden_layers=min(shape.num_hidden_layers, MOST_LAYERS))
    batch = _made_up(params, shape, rows, tokens)
    model, loss_terms = _learner(params, small, rung, batch)
    moments: list[float] = []

    def feed(_step: int) -> Batch:
        moments.append(_now())
        return batch

    course, how = [Phase(loss_terms, NUM_STEPS, learning_rate=1e-6)], params.training.rung
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # without the loop's own progress
        fit(model, name="plan", batches=feed, course=course, score=None, num_evaluations=1, optimization=how)
    seconds = statistics.median(end - start for start, end in pairwise(moments[1:]))
    return seconds * batch_size / rows * shape.num_hidden_layers / small.num_hidden_layers


def _now() -> float:
    """Seconds on a GPU's clock; on a CPU of each thread's processor, which other work does not change."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()


def _made_up(params: Params, shape: Shape, rows: int, tokens: int) -> Batch:
    task, size = params.task, (rows, tokens)
    own = kinds.of(task)
    shapes = {"token_cross_entropy": size, "binary_cross_entropy": (rows, task.num_labels)}
    labels = torch.zeros(shapes.get(own.loss, (rows, 2) if own.head.per_token else (rows,)), dtype=torch.long)
    return {
        "input_ids": torch.randint(shape.vocab_size, size),
        "token_type_ids": torch.zeros(size, dtype=torch.long),
        "attention_mask": torch.ones(size, dtype=torch.long),
        "labels": labels if own.loss.endswith("cross_entropy") and own.loss[0] != "b" else labels.float(),
    }


def _learner(params: Params, shape: Shape, rung: Rung | None, batch: Batch) -> tuple[nn.Module, LossTerms]:
    """A rung with a teacher of full precision; without a rung, a model that learns from the labels."""
    kind = kinds.of(params.task)
    if rung is None:
        model = build_bert(_config(params, shape, params.training.teacher.dropout))
        move(model)
        return model, against_labels(kind.loss)
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
    freeze(teacher, chosen)
    loss = rung.phases[0].distillation if rung.phases else rung.distillation or params.distillation
    return student, against_teacher(teacher, objective(loss, loss=kind.loss))


def _config(params: Params, shape: Shape, dropout: float) -> BertConfig:
    own = {name: size for name, size in asdict(shape).items() if name != "has_pooler"}
    config = BertConfig(**own, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    config.num_labels = params.task.num_labels
    config.architectures = [kinds.of(params.task).head.architecture]
    return config
