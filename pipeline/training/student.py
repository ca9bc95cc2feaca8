"""A rung before its first step: its parent's latent weights in the rung's form, quantized and calibrated.

The form is the parent's own, a narrower one (the most important heads and neurons), or one of twice the
matrices (ternary weight splitting).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.bert.configuration_bert import BertConfig

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import HEADS_KEY, WIDTH_KEY, Bert, build_bert, precision_of, width_of
from bitladder.modeling.share import num_kept
from bitladder.modeling.traces import logits_of
from pipeline import kinds, paths
from pipeline.distillation.objective import label_loss
from pipeline.initialization import first_weights
from pipeline.initialization.first_weights import Source, assemble, origins
from pipeline.initialization.narrowing import importance, most_important, narrow_state
from pipeline.initialization.step_sizes import calibrate
from pipeline.initialization.weight_splitting import split_weights
from pipeline.kinds.kind import Loss
from pipeline.params import Optimization, Params
from pipeline.record import Part
from pipeline.rungs import PRETRAINED, TEACHER, GeneralRung, Origin, Rung
from pipeline.tasks.batches import Batch, Encoded, Shuffled, inputs_of
from pipeline.training.device import copied, device, move
from pipeline.training.reconstruct import enough, reconstruct
from pipeline.training.rows import TaskData

_log = logging.getLogger(__name__)

CALIBRATION_ROWS = 128
FROM_TEACHER = Origin(copy_from="teacher")
BATCH_ROWS = 16  # of those rows at once, where they tell what matters


@dataclass(frozen=True)
class Student:
    """Attributes:
    model: quantized, on the device, its steps calibrated.
    first: the latent weights it starts from, on the CPU.
    init: where each part of them came from.
    parent_digest: sha256 of the parent's weights.
    """

    model: Bert
    first: dict[str, Tensor]
    init: list[Part]
    parent_digest: str


def start(params: Params, rung: Rung, data: TaskData) -> Student:
    """Build the quantized model, give it its first weights and calibrate its activations on training rows."""
    rows = data.train.batch(calibration_rows(len(data.train), seed=params.seed))
    config = checkpoint.load_config(paths.model_dir(TEACHER))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = params.optimization_of(rung).dropout
    config.hidden_act = rung.hidden_act or config.hidden_act
    parent = shaped(rung, rows, config, loss=kinds.of(params.task).loss)
    model = build_bert(config, rung.precision)
    # A general rung has no head, and its pooler was trained for none.
    of_task = {"pooler": FROM_TEACHER, "head": FROM_TEACHER} if rung.init_from in params.general else {}
    chosen = origins(
        {**of_task, **rung.init},
        config.num_hidden_layers,
        parent=parent,
        teacher=cache(partial(source, TEACHER)),
        std=config.initializer_range,
        seed=params.seed,
    )
    return _begun(model, chosen, rows, parent.digest)


def start_general(params: Params, rung: GeneralRung, rows: Encoded, pretrained: Bert) -> Student:
    """The same for a general rung; its head is the pre-trained model's, which says nothing."""
    config = checkpoint.load_config(paths.model_dir(PRETRAINED))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = params.optimization_of(rung).dropout
    config.hidden_act = rung.hidden_act or config.hidden_act
    model = build_bert(config, rung.precision)
    digest = files.verify(paths.model_dir(PRETRAINED))[checkpoint.WEIGHTS]
    whole = Source(PRETRAINED, pretrained.state_dict(), digest)
    parent = whole if rung.init_from == PRETRAINED else source(rung.init_from)
    chosen = origins(
        {"head": FROM_TEACHER, **rung.init},
        config.num_hidden_layers,
        parent=parent,
        teacher=lambda: whole,
        std=config.initializer_range,
        seed=params.seed,
    )
    return _begun(model, chosen, rows.batch(calibration_rows(len(rows), seed=params.seed)), parent.digest)


def _begun(
    model: Bert, chosen: Mapping[str, first_weights.Origin], rows: Batch, parent_digest: str
) -> Student:
    first, init = assemble(model.state_dict(), chosen)
    model.load_state_dict(first)
    move(model)
    calibrate(model, {key: tensor.to(device()) for key, tensor in rows.items()})
    return Student(model, first, init, parent_digest)


def reconstructed(
    student: Student, rung: Rung, teacher: nn.Module, rows: Shuffled, optimization: Optimization
) -> Student:
    """The student whose blocks were trained one by one first, where its rung says so (`init.method`)."""
    if rung.reconstruct is None:
        return student
    ends = reconstruct(
        student.model,
        teacher,
        enough(copied(rows(step), device()) for step in range(1, rows.per_epoch + 1)),
        num_steps=rung.reconstruct,
        optimization=optimization,
    )
    _log.info("blocks reconstructed, loss %s", ", ".join(f"{end:.3g}" for end in ends))
    first = {name: student.model.state_dict()[name].detach().cpu().clone() for name in student.first}
    how = f"{rung.reconstruct} steps a block against the teacher's hidden states"
    init = [replace(part, through="; ".join(filter(None, (part.through, how)))) for part in student.init]
    return replace(student, first=first, init=init)


def calibration_rows(num_rows: int, *, seed: int) -> list[int]:
    """Up to CALIBRATION_ROWS row numbers of train, drawn without replacement."""
    generator = torch.Generator().manual_seed(seed)
    rows: list[int] = torch.randperm(num_rows, generator=generator)[:CALIBRATION_ROWS].tolist()
    return rows


def source(name: str) -> Source:
    """A published model's latent weights, to be copied."""
    folder = paths.model_dir(name)
    return Source(name, checkpoint.load_state(folder), files.verify(folder)[checkpoint.WEIGHTS])


def shaped(rung: Rung, rows: Batch, config: BertConfig, *, loss: Loss) -> Source:
    """The parent of a rung in its form; what the rung's config has to say of its width is noted in `config`.

    Args:
        rows: labelled training rows, to find out which heads and neurons matter.

    Raises:
        ValueError: the width does not give a whole number of heads and neurons.
    """
    parent, its_config = source(rung.init_from), checkpoint.load_config(paths.model_dir(rung.init_from))
    if rung.width != 1:
        setattr(config, WIDTH_KEY, rung.width)
        setattr(config, HEADS_KEY, getattr(its_config, HEADS_KEY, None))
    if rung.width < width_of(its_config):
        parent = _narrowed(parent, rung.width, rows, config, loss=loss)
    if rung.split and not precision_of(its_config).split:
        halves = split_weights(parent.state, rung.granularity, rung.group_size, rung.bits_of_scales)
        parent = replace(parent, state=halves, through="ternary weight splitting")
    return parent


def _narrowed(parent: Source, width: float, rows: Batch, config: BertConfig, *, loss: Loss) -> Source:
    heads, neurons = config.num_attention_heads, config.intermediate_size
    num_heads, num_neurons = num_kept(heads, width, "heads"), num_kept(neurons, width, "neurons")
    model = checkpoint.load_bert(paths.model_dir(parent.model))
    move(model)
    batches = [
        {name: tensor[first : first + BATCH_ROWS].to(device()) for name, tensor in rows.items()}
        for first in range(0, len(rows["labels"]), BATCH_ROWS)
    ]

    def of_labels(model: Any, batch: Batch) -> Tensor:
        logits = logits_of(model(**inputs_of(batch)), batch["attention_mask"])
        return label_loss(logits, batch["labels"], loss)

    kept = most_important(
        *importance(model, batches, of_labels), num_heads=num_heads, num_neurons=num_neurons
    )
    setattr(config, HEADS_KEY, kept.heads)
    state = narrow_state(parent.state, kept, head_size=config.hidden_size // heads)
    what = f"{num_heads} of {heads} heads and {num_neurons} of {neurons} neurons by importance"
    return replace(parent, state=state, through=what)
