"""The rungs of a checked params.yaml with every default filled in, and the way from each to the teacher."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bitladder.quantizers.names import ACTIVATIONS, WEIGHTS, usual
from pipeline.params import Params
from pipeline.parts import lies_within
from pipeline.rungs import ActivationRung, Duration, Rung

TEACHER = "teacher"
Stage = Literal["weights", "weights_activations"]


@dataclass(frozen=True)
class LadderRung:
    """One trained model of the ladder.

    Attributes:
        parent: the rung, or the teacher, that its first weights come from (`init_from`).
        taught_by: the rung, or the teacher, that it is distilled from.
        phases: trainings one after the other; 1 where there is one loss.
        activation_bits: 32 means untouched.
        weight_quantizer: its name.
        activation_quantizer: its name; None where they are untouched.
        attention: softmax or bi.
        hidden_act: None for the teacher's.
        data: plain or augmented training rows.
        drawn: the parts drawn at random instead of copied from the parent, by selector.
        copied: the parts among those that are copied after all, and those copied from the teacher instead.
    """

    name: str
    stage: Stage
    parent: str
    taught_by: str
    phases: int
    weight_bits: int
    embedding_bits: int
    activation_bits: int
    activation_quantizer: str | None
    attention: Literal["softmax", "bi"]
    hidden_act: Literal["gelu", "relu"] | None
    granularity: Literal["row", "matrix", "group"]
    group_size: int | None
    weight_quantizer: str
    width: float
    split: bool
    data: str
    duration: Duration
    drawn: tuple[str, ...]
    copied: tuple[str, ...]

    @property
    def first_weights(self) -> str:
        """Where they come from, in a few words: `random: encoder; copied: encoder.ffn1`."""
        parts = [("random", self.drawn), ("copied", self.copied)]
        said = [f"{how}: {', '.join(selectors)}" for how, selectors in parts if selectors]
        form = [f"width {self.width:g}"] * (self.width != 1) + ["split"] * self.split
        return "; ".join((", ".join((*(said[:1] or ["copied"]), *form)), *said[1:]))

    @property
    def address(self) -> str:
        """The rung's stage as DVC calls it."""
        return f"{self.stage}@{self.name}"


def climb(params: Params) -> tuple[LadderRung, ...]:
    """Every rung after its parent and whoever teaches it, otherwise in the order written."""
    written = {name: _rung(params, name, rung) for name, rung in params.rungs.items()}
    ordered: dict[str, LadderRung] = {}

    def add(name: str) -> None:
        if name == TEACHER or name in ordered:
            return
        add(written[name].parent)
        add(written[name].taught_by)
        ordered[name] = written[name]

    for name in written:
        add(name)
    return tuple(ordered.values())


def ancestry(params: Params, name: str) -> tuple[str, ...]:
    """The rung, its parent, and so on to the teacher: `("w2", "w4", "w8", "teacher")`.

    Raises:
        KeyError: no rung has this name.
    """
    return (*_ancestry(name, {rung.name: rung for rung in climb(params)}), TEACHER)


def _ancestry(name: str, rungs: dict[str, LadderRung]) -> list[str]:
    chain = [name]
    while (parent := rungs[chain[-1]].parent) != TEACHER:
        chain.append(parent)
    return chain


def _rung(params: Params, name: str, rung: Rung) -> LadderRung:
    return LadderRung(
        name=name,
        stage=params.stage_of(name),
        parent=rung.init_from,
        taught_by=rung.taught_by,
        phases=max(1, len(rung.phases)),
        weight_bits=rung.bits,
        embedding_bits=rung.embedding_bits or rung.bits,
        activation_bits=rung.activation_bits_or_32,
        activation_quantizer=_activation_quantizer(rung),
        attention=rung.attention if isinstance(rung, ActivationRung) else "softmax",
        hidden_act=rung.hidden_act,
        granularity=rung.granularity,
        group_size=rung.group_size,
        weight_quantizer=rung.weight_quantizer or usual(WEIGHTS, rung.bits),
        width=rung.width,
        split=rung.split,
        data=rung.data,
        duration=params.duration_of(rung),
        drawn=_drawn(rung),
        copied=tuple(_copied(rung)),
    )


def _activation_quantizer(rung: Rung) -> str | None:
    if not isinstance(rung, ActivationRung):
        return None
    return rung.activation_quantizer or usual(ACTIVATIONS, rung.activation_bits)


def _drawn(rung: Rung) -> tuple[str, ...]:
    return tuple(selector for selector, origin in rung.init.items() if origin.is_drawn)


def _copied(rung: Rung) -> Iterator[str]:
    """What would not be copied from the parent without being named."""
    for selector, origin in rung.init.items():
        within = any(lies_within(selector, wider) for wider in _drawn(rung))
        if not origin.is_drawn and (origin.copy_from or within):
            yield f"{selector} (teacher)" if origin.copy_from else selector
