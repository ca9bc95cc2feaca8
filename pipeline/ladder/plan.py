"""What a params.yaml would train, as data: `bitladder plan` prints it, nothing is touched."""

from dataclasses import dataclass

from pipeline.ladder import estimate
from pipeline.ladder.rung import TEACHER, LadderRung, climb
from pipeline.ladder.unusual import how_quantized, how_taught
from pipeline.params import Params
from pipeline.rungs import Duration

FULL = 32
PRETRAINED = "pretrained"


@dataclass(frozen=True)
class Row:
    """One model: where it starts, its bits, what it is trained on and for how long.

    `mib` is the expected size of its file, packed for a rung and fp32 for the teacher; None where unknown.
    """

    stage: str
    name: str
    parent: str | None
    weight_bits: int
    embedding_bits: int
    activation_bits: int
    data: str
    duration: str
    init: str
    mib: float | None


@dataclass(frozen=True)
class Plan:
    """The models in an order in which they can be trained."""

    task: str
    model: str
    budget: str
    rows: tuple[Row, ...]
    deliver: tuple[str, ...]


def plan(params: Params) -> Plan:
    """The pre-trained model, the teacher and every rung, parents first."""
    shape = estimate.shape_of(params)
    labels = params.task.num_labels
    full = estimate.full_bytes(shape, num_labels=labels) if shape else None
    rungs = tuple(
        Row(
            stage=rung.address,
            name=rung.name,
            parent=rung.parent,
            weight_bits=rung.weight_bits,
            embedding_bits=rung.embedding_bits,
            activation_bits=rung.activation_bits,
            data=rung.data,
            duration=said(rung.duration),
            init=_said_of(rung),
            mib=_mib(estimate.packed_bytes(shape, rung, num_labels=labels) if shape else None),
        )
        for rung in climb(params)
    )
    return Plan(
        task=params.task.name,
        model=params.model.name,
        budget=params.budget.name,
        rows=(_pretrained(params), _teacher(params, full), *rungs),
        deliver=tuple(params.deliver),
    )


def said(duration: Duration) -> str:
    """`400 steps` or `3 epochs`."""
    count, unit = (duration.steps, "step") if duration.steps is not None else (duration.epochs, "epoch")
    return f"{count:g} {unit}" + ("" if count == 1 else "s")


def _said_of(rung: LadderRung) -> str:
    """Its first weights, and what is unusual about how it is quantized and taught."""
    return "; ".join((rung.first_weights, *how_quantized(rung), *how_taught(rung)))


def _pretrained(params: Params) -> Row:
    trained = params.model.source == "demo"
    return Row(
        stage=PRETRAINED,
        name=PRETRAINED,
        parent=None,
        weight_bits=FULL,
        embedding_bits=FULL,
        activation_bits=FULL,
        data="corpus" if trained else "-",
        duration=said(params.budget.pretraining) if trained else "-",
        init="random" if trained else f"{params.model.source}: {params.model.location}",
        mib=None,
    )


def _teacher(params: Params, size: int | None) -> Row:
    return Row(
        stage=TEACHER,
        name=TEACHER,
        parent=PRETRAINED,
        weight_bits=FULL,
        embedding_bits=FULL,
        activation_bits=FULL,
        data="plain",
        duration=said(params.budget.teacher),
        init="copied, head random",
        mib=_mib(size),
    )


def _mib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else round(size_bytes / estimate.MIB, 3)
