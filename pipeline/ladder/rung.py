"""The rungs of a checked params.yaml with every default filled in, and the way from each to the teacher."""

from dataclasses import dataclass
from typing import Literal

from pipeline.params import ActivationRung, Duration, Params, Rung

TEACHER = "teacher"
Stage = Literal["weights", "weights_activations"]
PARTS = ("embeddings", "encoder", "pooler", "head")


@dataclass(frozen=True)
class LadderRung:
    """One trained model of the ladder.

    Attributes:
        parent: the rung, or the teacher, that its first weights come from (`init_from`).
        activation_bits: 32 means untouched.
        data: plain or augmented training rows.
        drawn: the parts drawn at random instead of copied from the parent.
    """

    name: str
    stage: Stage
    parent: str
    weight_bits: int
    embedding_bits: int
    activation_bits: int
    granularity: Literal["row", "matrix"]
    data: str
    duration: Duration
    drawn: tuple[str, ...]

    @property
    def address(self) -> str:
        """The rung's stage as DVC calls it."""
        return f"{self.stage}@{self.name}"


def climb(params: Params) -> tuple[LadderRung, ...]:
    """Every rung, parents before children, otherwise in the order written."""
    written = {name: _rung(params, name, rung) for name, rung in params.rungs.items()}
    ordered: dict[str, LadderRung] = {}
    for name in written:
        for step in reversed(_ancestry(name, written)):
            ordered.setdefault(step, written[step])
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
        stage="weights_activations" if isinstance(rung, ActivationRung) else "weights",
        parent=rung.init_from,
        weight_bits=rung.bits,
        embedding_bits=rung.embedding_bits or rung.bits,
        activation_bits=rung.activation_bits_or_32,
        granularity=rung.granularity,
        data=rung.data,
        duration=params.duration_of(rung),
        drawn=tuple(part for part in PARTS if getattr(rung.init, part) == "random"),
    )
