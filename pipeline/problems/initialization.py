"""Problems of `init`: selectors that name no part, that contradict each other, origins that say two things.

Layers are counted where params.yaml itself tells their number; for a model from elsewhere that is done when
its files are there (`pipeline.ladder.layers`).
"""

from collections.abc import Iterator, Mapping

from pipeline.parts import MAX_LAYERS, SelectorError, choose, select
from pipeline.problems.ladder import SECTIONS
from pipeline.problems.problem import Problem, did_you_mean, listed
from pipeline.problems.values import Values

_ENOUGH_LAYERS = 99  # for a model whose number is not known: more only make selectors overlap less
_OF_DRAWN = ("distribution", "std", "seed")


def initialization_problems(values: Values) -> Iterator[Problem]:
    """Every problem of every rung's `init`."""
    num_layers = values.whole("model", "architecture", "num_hidden_layers")
    for section in SECTIONS:
        for name in values.names(section):
            place = f"{section}.{name}.init"
            selectors = values.names(section, name, "init")
            yield from selector_problems(place, selectors, num_layers or _ENOUGH_LAYERS)
            for selector in selectors:
                yield from _origin(f"{place}.{selector}", values.raw(section, name, "init", selector))


def selector_problems(place: str, selectors: list[str], num_layers: int) -> Iterator[Problem]:
    """What is wrong with the selectors of one `init`, for a model of so many layers."""
    num_layers = min(max(num_layers, 1), MAX_LAYERS)
    right = []
    for selector in selectors:
        try:
            select(selector, num_layers)
        except SelectorError as error:
            yield Problem(f"{place}.{selector}", _refusal(error))
        else:
            right.append(selector)
    try:
        choose(right, num_layers)
    except ValueError as error:
        yield Problem(place, f"{error}; write a narrower selector for what they share, or leave one out")


def _refusal(error: SelectorError) -> str:
    if not error.known:
        return str(error)
    return f"{error}; {did_you_mean(error.word, error.known)}known: {listed(error.known)}"


def _origin(place: str, value: object) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        return
    given = [key for key in _OF_DRAWN if value.get(key) is not None]
    if value.get("copy_from") is not None and given:
        yield Problem(place, f"copy_from copies and {listed(given)} draws; write one of them")
    elif not value:
        yield Problem(place, f"empty; write copy, random, or some of {listed(('copy_from', *_OF_DRAWN))}")
