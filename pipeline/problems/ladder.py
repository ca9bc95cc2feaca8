"""Problems of the ladder: names, parents, cycles, bits that rise, models to deliver.

The ladder is a graph rooted at the teacher, its edges are `init_from`. DVC finds a missing parent only when
the rung's turn comes, hours later; here everything is found before anything runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.problems.contradictions import NAME_RULE, is_name
from pipeline.problems.problem import Problem, did_you_mean, listed
from pipeline.problems.values import Values

TEACHER = "teacher"
RESERVED = (TEACHER, "pretrained")
SECTIONS = ("weights", "weights_activations")
_FULL = 32


@dataclass(frozen=True)
class Entry:
    """What can be read of one rung; a bit-width that is missing or no number is None."""

    section: str
    name: str
    parent: str | None
    weights: int | None
    embeddings: int | None
    activations: int | None

    def problem(self, field: str, sentence: str) -> Problem:
        return Problem(f"{self.section}.{self.name}.{field}", sentence)


def places(values: Values) -> dict[str, tuple[str, str]]:
    """Where each rung stands, by its name: (section, name)."""
    return {name: (section, name) for section in SECTIONS for name in values.names(section)}


def ladder_problems(values: Values) -> Iterator[Problem]:
    """Every problem of the two sections of rungs and of `deliver`."""
    entries = [_entry(values, section, name) for section in SECTIONS for name in values.names(section)]
    rungs = {entry.name: entry for entry in entries}
    yield from _names(entries)
    yield from _parents(entries, rungs)
    cycles = list(_cycles(rungs))
    for cycle in cycles:
        circle = " from ".join((*cycle, cycle[0]))
        yield rungs[cycle[0]].problem("init_from", f"a circle: {circle}; every rung must lead to {TEACHER}")
    circling = {name for cycle in cycles for name in cycle}
    for entry in entries:
        if entry.name not in circling:
            yield from _rising(entry, rungs)
    yield from _deliver(values, rungs)


def _entry(values: Values, section: str, name: str) -> Entry:
    bits = values.whole(section, name, "bits")
    staged = section == "weights_activations"
    return Entry(
        section=section,
        name=name,
        parent=values.text(section, name, "init_from"),
        weights=bits,
        embeddings=values.whole(section, name, "embedding_bits") or bits,
        activations=values.whole(section, name, "activation_bits") if staged else _FULL,
    )


def _names(entries: list[Entry]) -> Iterator[Problem]:
    seen: set[str] = set()
    for entry in entries:
        place = f"{entry.section}.{entry.name}"
        if entry.name in RESERVED:
            yield Problem(place, f"{entry.name!r} is reserved; {listed(RESERVED)} are models of the graph")
        elif not is_name(entry.name):
            yield Problem(place, f"{entry.name!r} is no name for a rung; {NAME_RULE}")
        if entry.name in seen:
            yield Problem(place, "stands under both weights and weights_activations; a name may be used once")
        seen.add(entry.name)


def _parents(entries: list[Entry], rungs: dict[str, Entry]) -> Iterator[Problem]:
    for entry in entries:
        if entry.parent is not None and entry.parent not in (TEACHER, *rungs):
            known = [TEACHER, *(name for name in rungs if name != entry.name)]
            yield entry.problem(
                "init_from",
                f"no rung {entry.parent!r}; {did_you_mean(entry.parent, known)}known: {listed(known)}",
            )


def _cycles(rungs: dict[str, Entry]) -> Iterator[tuple[str, ...]]:
    """Each circle of `init_from` once, from the rung of it that is written first."""
    found: set[str] = set()
    for start in rungs:
        chain: dict[str, None] = {}  # a set that keeps its order
        name: str | None = start
        while name in rungs and name not in chain:
            chain[name] = None
            name = rungs[name].parent
        if name == start and start not in found:
            found.update(chain)
            yield tuple(chain)


def _rising(entry: Entry, rungs: dict[str, Entry]) -> Iterator[Problem]:
    """Bits stay or fall on the way from the teacher: what a parent has rounded away does not come back."""
    parent = rungs.get(entry.parent or "")
    if parent is None:
        return
    if entry.section == "weights" and parent.section == "weights_activations":
        yield entry.problem(
            "init_from",
            f"{parent.name} has quantized activations, a rung under weights has not; "
            f"start from {TEACHER} or a rung under weights",
        )
        return
    yield from _above(entry, "bits", entry.weights, parent.weights)
    if entry.embeddings != entry.weights or parent.embeddings != parent.weights:
        yield from _above(entry, "embedding_bits", entry.embeddings, parent.embeddings)
    yield from _above(entry, "activation_bits", entry.activations, parent.activations)


def _above(entry: Entry, field: str, own: int | None, limit: int | None) -> Iterator[Problem]:
    if own is not None and limit is not None and own > limit:
        yield entry.problem(field, f"{own} is more than its parent {entry.parent} has; at most {limit}")


def _deliver(values: Values, rungs: dict[str, Entry]) -> Iterator[Problem]:
    names = values.texts("deliver")
    if values.raw("deliver") == []:
        yield Problem("deliver", "empty; name at least one rung to pack")
    for name in dict.fromkeys(names):
        if name == TEACHER:
            yield Problem("deliver", f"{TEACHER} is evaluated anyway; name rungs only")
        elif name not in rungs:
            yield Problem("deliver", f"no rung {name!r}; {did_you_mean(name, rungs)}known: {listed(rungs)}")
        elif names.count(name) > 1:
            yield Problem("deliver", f"{name} is written twice; once is enough")
