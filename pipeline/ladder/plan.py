"""What a params.yaml would train, as data: `bitladder plan` prints it, nothing is touched."""

from dataclasses import dataclass, field

from bitladder.packed.size import MIB
from bitladder.quantizers.precision import Precision
from pipeline.ladder import sizes
from pipeline.ladder.words import first_weights, how_quantized, how_taught, said
from pipeline.params import Params
from pipeline.rungs import PRETRAINED, TEACHER, climb


@dataclass(frozen=True)
class Row:
    """One model: where it starts, its bits, what it is trained on and for how long.

    `mib` is the expected size of its file, packed for a rung and fp32 for the teacher; None where unknown,
    and for a general rung, which is not packed.
    """

    stage: str
    name: str
    parent: str | None
    data: str
    duration: str
    init: str
    mib: float | None
    precision: Precision = field(default_factory=Precision)


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
    shape, labels = sizes.shape_of(params), params.task.num_labels
    is_trained_here, is_given = params.model.source == "demo", params.teacher.is_given
    pretrained = Row(
        stage=PRETRAINED,
        name=PRETRAINED,
        parent=None,
        data="corpus" if is_trained_here else "-",
        duration=said(params.budget.pretraining) if is_trained_here else "-",
        init="random" if is_trained_here else _origin(params),
        mib=None,
    )
    teacher = Row(
        stage=TEACHER,
        name=TEACHER,
        parent=None if is_given else PRETRAINED,
        data="-" if is_given else "plain",
        duration="-" if is_given else said(params.budget.teacher),
        init=params.teacher.origin if is_given else "copied, head random",
        mib=round(sizes.full_bytes(shape, num_labels=labels) / MIB, 3) if shape else None,
    )
    rungs = (
        Row(
            stage=f"{rung.stage}@{name}",
            name=name,
            parent=rung.init_from,
            data=rung.data,
            duration=said(params.duration_of(rung)),
            init="; ".join((first_weights(rung), *how_quantized(rung), *how_taught(rung))),
            mib=round(sizes.packed_bytes(shape, rung, num_labels=labels) / MIB, 3)
            if shape and rung.stage != "general"
            else None,
            precision=rung.precision,
        )
        for name, rung in climb(params.rungs).items()
    )
    return Plan(
        task=params.task.name,
        model=params.model.name,
        budget=params.budget.name,
        rows=(pretrained, teacher, *rungs),
        deliver=tuple(params.deliver),
    )


def _origin(params: Params) -> str:
    """Where the pre-trained model comes from, for a reader."""
    model = params.model
    return "the teacher's encoder" if model.source == TEACHER else f"{model.source}: {model.location}"
