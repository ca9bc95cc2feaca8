"""How long a rung trains so that it has had as many steps, from the teacher on, as another one.

    steps(rung) = all steps on the other's way - all steps on the way to the rung's parent

where a way is a rung and its ancestors below the teacher, and any of them may itself be as long as another
one makes it. Counted in steps: epochs of augmented rows are longer, by a number that nobody knows before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TEACHER = "teacher"


class UnequalError(ValueError):
    """There is no such number of steps."""


@dataclass(frozen=True)
class Length:
    """How long one rung trains: `steps`, or as long as `equal_to` makes it; neither where it is in epochs.

    Attributes:
        parent: the model it starts from; `teacher` ends the way.
    """

    parent: str
    steps: int | None = None
    equal_to: str | None = None


def steps_of(name: str, ladder: Mapping[str, Length]) -> int:
    """How many steps the rung trains. `ladder`: every rung by name.

    Raises:
        UnequalError: another rung is not there, is in epochs, waits for this one, or is too short.
    """
    return _steps(name, ladder, ())


def total_steps(name: str, ladder: Mapping[str, Length]) -> int:
    """Steps of the rung and of all its ancestors below the teacher. Raises UnequalError like `steps_of`."""
    return _total(name, ladder, ())


def _total(name: str, ladder: Mapping[str, Length], asked: tuple[str, ...]) -> int:
    way: list[str] = []
    while name != TEACHER:
        if name not in ladder:
            raise UnequalError(f"no rung {name!r}")
        if name in way:
            raise UnequalError(f"{name} does not lead to the {TEACHER}")
        way.append(name)
        name = ladder[name].parent
    return sum(_steps(rung, ladder, asked) for rung in way)


def _steps(name: str, ladder: Mapping[str, Length], asked: tuple[str, ...]) -> int:
    own = ladder[name]
    if own.equal_to is None:
        if own.steps is None:
            raise UnequalError(f"{name} is trained by epochs; equal steps need steps on both ways")
        return own.steps
    if name in asked:
        raise UnequalError(f"a circle: {' as long as '.join((*asked[asked.index(name) :], name))}")
    wanted = _total(own.equal_to, ladder, (*asked, name))
    had = _total(own.parent, ladder, (*asked, name))
    if wanted <= had:
        raise UnequalError(
            f"nothing is left: {own.equal_to} has {wanted} steps in all, {own.parent} alone has {had}"
        )
    return wanted - had
