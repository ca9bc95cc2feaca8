"""How long a rung trains so that it has had as much training, from the teacher on, as another one.

    length(rung) = all of the other's way - all of the way to the rung's parent

where a way is a rung and its ancestors below the teacher, and any of them may itself be as long as another
one makes it. In steps, or in epochs of batches of one size, but never both: what a step is of an epoch nobody
knows before the rows are there. An epoch is one of a rung's own rows, so equal epochs are equal steps only
where both ways see as many rows; those of augmented data are longer. What it came to is in every result
(`total_steps`), and claims are judged by that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TEACHER = "teacher"
STEPS = "steps"
_DIGITS = 9  # of sums and differences of epochs, which may be fractions


class UnequalError(ValueError):
    """There is no such length."""


class MixedError(UnequalError):
    """The two ways are not measured in one unit."""


@dataclass(frozen=True)
class Length:
    """How long one rung trains: `count` of `unit`, or as long as `equal_to` makes it; neither: nobody knows.

    Attributes:
        parent: the model it starts from; `teacher` ends the way.
        unit: steps, or `epochs(batch_size)`.
    """

    parent: str
    count: float | None = None
    unit: str = STEPS
    equal_to: str | None = None


@dataclass(frozen=True)
class Amount:
    """Of training."""

    count: float
    unit: str

    def __str__(self) -> str:
        return f"{self.count:.10g} {self.unit}"


def epochs(batch_size: int) -> str:
    """The unit of durations in epochs: with batches of another size they are other trainings."""
    return f"epochs of batches of {batch_size}"


def length_of(name: str, ladder: Mapping[str, Length]) -> Amount:
    """How long the rung trains. `ladder`: every rung by name.

    Raises:
        UnequalError: another rung is not there, waits for this one, or is too short.
        MixedError: the ways are in steps and in epochs, or in epochs of other batches.
    """
    return _length(name, ladder, ())


def total(name: str, ladder: Mapping[str, Length]) -> Amount:
    """Of the rung and of all its ancestors below the teacher. Raises like `length_of`."""
    return _sum(_way(name, ladder, ()))


def left(equal_to: str, parent: str, ladder: Mapping[str, Length]) -> Amount:
    """What a rung that starts from `parent` trains to be as long as `equal_to`. Raises like `length_of`."""
    return _left(equal_to, parent, ladder, ())


def _way(name: str, ladder: Mapping[str, Length], asked: tuple[str, ...]) -> dict[str, Amount]:
    way: list[str] = []
    while name != TEACHER:
        if name not in ladder:
            raise UnequalError(f"no rung {name!r}")
        if name in way:
            raise UnequalError(f"{name} does not lead to the {TEACHER}")
        way.append(name)
        name = ladder[name].parent
    return {rung: _length(rung, ladder, asked) for rung in way}


def _length(name: str, ladder: Mapping[str, Length], asked: tuple[str, ...]) -> Amount:
    own = ladder[name]
    if own.equal_to is None:
        if own.count is None:
            raise UnequalError(f"how long {name} trains is not known")
        return Amount(own.count, own.unit)
    if name in asked:
        raise UnequalError(f"a circle: {' as long as '.join((*asked[asked.index(name) :], name))}")
    return _left(own.equal_to, own.parent, ladder, (*asked, name))


def _left(equal_to: str, parent: str, ladder: Mapping[str, Length], asked: tuple[str, ...]) -> Amount:
    theirs, own = _way(equal_to, ladder, asked), _way(parent, ladder, asked)
    unit = _sum({**theirs, **own}).unit
    wanted, had = _sum(theirs), _sum(own)
    if wanted.count <= had.count:
        raise UnequalError(f"nothing is left: {equal_to} has {wanted} in all, {parent} alone has {had}")
    return Amount(round(wanted.count - had.count, _DIGITS), unit)


def _sum(way: Mapping[str, Amount]) -> Amount:
    """Nothing is of any unit."""
    first, unit = next(((name, amount.unit) for name, amount in way.items()), ("", STEPS))
    for name, amount in way.items():
        if amount.unit != unit:
            raise MixedError(f"{first} is trained for {unit}, {name} for {amount.unit}")
    return Amount(round(sum(amount.count for amount in way.values()), _DIGITS), unit)
