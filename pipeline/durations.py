"""How long a rung trains that is to have as much training as another one, counted from the teacher.

    length(rung) = all of the other's way - all of the way to the rung's parent

where a way is a rung and its ancestors below the teacher, and any of them may itself follow another one
(`duration.equal_to`). In steps, or in epochs of batches of one size, but never both: how many steps an epoch
has is not known before the rows are there. An epoch is one of a rung's own rows, so equal epochs are equal
steps only where both ways see as many rows; those of augmented data are longer. What it came to is in every
result (`total_steps`), and claims are judged by that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.rungs import TEACHER, Duration

STEPS = "steps"
_DIGITS = 9  # of sums and differences of epochs, which may be fractions


class UnequalError(ValueError):
    """There is no such length."""


@dataclass(frozen=True)
class Length:
    """How long one rung trains: its duration as written, and what an epoch of it is.

    Attributes:
        parent: the model it starts from; `teacher` ends the way.
    """

    parent: str
    duration: Duration
    batch_size: int


@dataclass(frozen=True)
class Amount:
    """Of training; of no unit where it is none. `rung`: the first one that it is of, for messages."""

    count: float = 0
    unit: str = ""
    rung: str = ""

    def __str__(self) -> str:
        return f"{self.count:.10g} {self.unit}".rstrip()


def total(name: str, lengths: Mapping[str, Length | None], asked: tuple[str, ...] = ()) -> Amount:
    """Of the rung and of all its ancestors that were trained on the task. `lengths`: every rung's, by name;
    None for a general rung, where the way ends as it does at the teacher.

    Raises:
        UnequalError: a rung is not there, or its length depends on itself; or the way is in steps and in
            epochs, or in epochs of other batches.
    """
    if name == TEACHER:
        return Amount()
    if name not in lengths:
        raise UnequalError(f"no rung {name!r}")
    if name in asked:
        raise UnequalError(f"these durations depend on each other: {', '.join(asked[asked.index(name) :])}")
    own, asked = lengths[name], (*asked, name)
    if own is None:
        return Amount()
    if own.duration.equal_to is not None:
        return total(own.duration.equal_to, lengths, asked)
    if own.duration.epochs is not None:
        amount = Amount(own.duration.epochs, f"epochs of batches of {own.batch_size}", name)
    else:
        amount = Amount(own.duration.steps or 0, STEPS, name)
    return _sum(total(own.parent, lengths, asked), amount)


def equal(equal_to: str, parent: str, lengths: Mapping[str, Length | None]) -> Duration:
    """How long a rung that starts from `parent` trains to have had as much as `equal_to`, in steps or epochs.

    Raises:
        UnequalError: like `total`, and where the way to the parent is as long already.
    """
    wanted, had = total(equal_to, lengths), total(parent, lengths)
    left = _sum(wanted, had, sign=-1)
    if left.count <= 0:
        raise UnequalError(
            f"nothing is left to train: {equal_to} has {wanted} in all, {parent} already {had}"
        )
    return Duration(steps=int(left.count)) if left.unit == STEPS else Duration(epochs=float(left.count))


def _sum(first: Amount, second: Amount, *, sign: int = 1) -> Amount:
    if first.unit and second.unit and first.unit != second.unit:
        raise UnequalError(
            f"{first.rung} is trained for {first.unit}, {second.rung} for {second.unit}; these do not add up"
            "; give all durations in steps (budget=hours)"
        )
    named = first if first.unit else second
    return Amount(round(first.count + sign * second.count, _DIGITS), named.unit, named.rung)
