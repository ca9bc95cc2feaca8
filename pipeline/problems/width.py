"""Problems of `width` and `split`: what a rung's parent has to be for its first weights to fit.

A narrow rung is cut out of the teacher, or descends from one of its width. A split rung, whose matrices are
sums of two binary ones, starts from a ternary one (ternary weight splitting), or descends from a split one.
"""

from collections.abc import Iterator

from pipeline.problems.ladder import TEACHER, places
from pipeline.problems.problem import Problem
from pipeline.problems.values import Values

Place = tuple[str, str]


def width_problems(values: Values) -> Iterator[Problem]:
    """Every problem of every rung's width and split; a parent that is missing is the ladder's problem."""
    rungs = places(values)
    for place in rungs.values():
        parent = values.text(*place, "init_from") or ""
        if parent == TEACHER or parent in rungs:
            yield from _width(values, place, parent, rungs.get(parent))
            yield from _split(values, place, parent, rungs.get(parent))
        yield from _copied_from_the_teacher(values, place)


def _width(values: Values, place: Place, name: str, parent: Place | None) -> Iterator[Problem]:
    own, its = _width_of(values, place), _width_of(values, parent) if parent else 1.0
    where = f"{'.'.join(place)}.width"
    if parent and own != its:
        yield Problem(where, f"{own:g}, its parent {name} has {its:g}; as much, or start from {TEACHER}")
        return
    for size in ("num_attention_heads", "intermediate_size"):
        whole = values.whole("model", "architecture", size)
        if whole and 0 < own <= 1 and abs(own * whole - round(own * whole)) > 1e-6:
            yield Problem(
                where, f"{own:g} of the model's {size}, {whole}, is {own * whole:g}; whole is needed"
            )


def _split(values: Values, place: Place, name: str, parent: Place | None) -> Iterator[Problem]:
    own, its = _is_split(values, place), parent is not None and _is_split(values, parent)
    where = f"{'.'.join(place)}.split"
    if its and not own:
        yield Problem(where, f"its parent {name} is split; write split: true, or start from another one")
    if not own:
        return
    if _bits(values, place) != (1, 1):
        yield Problem(
            where, "the two matrices of a sum are binary; write bits: 1 and no other embedding_bits"
        )
    elif not its and (parent is None or _bits(values, parent) != (2, 2)):
        yield Problem(where, f"{name} cannot be split; start from a rung with bits: 2, or from a split one")
    elif not its and parent and _granularity(values, place) != _granularity(values, parent):
        yield Problem(
            where, f"the sum is that of {name} with its granularity only, {_granularity(values, parent)}"
        )


def _copied_from_the_teacher(values: Values, place: Place) -> Iterator[Problem]:
    if _width_of(values, place) == 1 and not _is_split(values, place):
        return
    for selector in values.names(*place, "init"):
        if values.text(*place, "init", selector, "copy_from") == TEACHER:
            yield Problem(
                ".".join((*place, "init", selector)), "the teacher is neither narrow nor split; copy or draw"
            )


def _width_of(values: Values, place: Place) -> float:
    width = values.number(*place, "width")
    return 1.0 if width is None else float(width)


def _is_split(values: Values, place: Place) -> bool:
    return values.raw(*place, "split") is True


def _bits(values: Values, place: Place) -> tuple[int | None, int | None]:
    bits = values.whole(*place, "bits")
    return bits, values.whole(*place, "embedding_bits") or bits


def _granularity(values: Values, place: Place) -> str:
    group_size = values.whole(*place, "group_size")
    return (values.text(*place, "granularity") or "row") + (f" of {group_size}" if group_size else "")
