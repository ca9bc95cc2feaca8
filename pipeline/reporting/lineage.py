"""Who starts from whom, as rows of boxes: each row begins at a model and goes on to what starts from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.evaluation.results import ModelResult
from pipeline.record import Record, origins
from pipeline.reporting import cells, table
from pipeline.rungs import TEACHER


@dataclass(frozen=True)
class Chain:
    """A row of boxes.

    Attributes:
        start: the model of an earlier row that its first one starts from.
        models: names, each with what the model is in words.
    """

    start: str | None
    models: tuple[tuple[str, tuple[str, ...]], ...]


def chains(models: Mapping[str, ModelResult], records: Mapping[str, Record]) -> list[Chain]:
    """The longest way down comes first; a model that starts from one of it as well begins a row of its own.

    A rung whose parent is not delivered begins one too, without a start.
    """
    children: dict[str | None, list[str]] = {}
    for name, model in table.in_order(models).items():
        children.setdefault(model.parent if model.parent in models else None, []).append(name)
    waiting: list[tuple[str | None, str]] = [(None, name) for name in children.get(None, [])]
    found = []
    while waiting:
        start, name = waiting.pop(0)
        row = [name]
        while below := children.get(row[-1], []):
            longest = max(below, key=lambda one: _depth(one, children))
            waiting += [(row[-1], other) for other in below if other != longest]
            row.append(longest)
        found.append(Chain(start, tuple((one, _words(one, models[one], records)) for one in row)))
    return found


def _depth(name: str, children: Mapping[str | None, list[str]]) -> int:
    return 1 + max((_depth(child, children) for child in children.get(name, [])), default=0)


def _words(name: str, model: ModelResult, records: Mapping[str, Record]) -> tuple[str, ...]:
    bits = " ".join(f"{part}{bits}" for part, bits in zip("WEA", model.bits, strict=True))
    words = [bits, cells.score(model), f"{model.mib:.3g} MiB"]
    if own := records.get(name):
        drawn = [part for part, origin in origins(own.init).items() if origin.source == "drawn"]
        words += [f"drawn at random: {', '.join(drawn)}"] * bool(drawn)
        words += [f"taught by {own.teacher}"] * (own.teacher not in (TEACHER, None))
    return tuple(words)
