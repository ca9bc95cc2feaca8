"""Problems of `taught_by`, `distillation` and `phases`: who cannot teach, what teaches nothing.

A teacher is trained before its students. So `taught_by` and `init_from` together lead from every rung to the
teacher; DVC would find a circle too, and name neither field.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pipeline.problems.ladder import SECTIONS, TEACHER
from pipeline.problems.problem import Problem, did_you_mean, listed
from pipeline.problems.values import Values

TERMS = ("logits", "hidden_states", "attention_scores", "labels", "directions")
OF_HEADS = ("attention_scores", "directions")
COOLEST, HOTTEST = 0.01, 100.0  # beyond, padding would be among the answers to a question
_MOST_LEARNING_RATE = 1.0
_UNSURE = 1e-6  # what decimal shares may miss of 1


@dataclass(frozen=True)
class Loss:
    """The weights of one training or phase, and the field they stand in."""

    field: str
    weights: Values

    def weighs(self, term: str) -> bool:
        return bool(self.weights.number(term))


@dataclass(frozen=True)
class Taught:
    """What can be read of one rung."""

    section: str
    name: str
    parent: str | None
    teacher: str | None
    width: float
    is_bi: bool
    losses: list[Loss]

    def problem(self, field: str, sentence: str) -> Problem:
        return Problem(f"{self.section}.{self.name}.{field}", sentence)


def distillation_problems(values: Values) -> Iterator[Problem]:
    """Every problem of who teaches what."""
    rungs = {name: _taught(values, section, name) for section in SECTIONS for name in values.names(section)}
    for rung in rungs.values():
        yield from _teacher(rung, rungs)
        yield from _heads(rung, rungs)
        yield from _phases(values, rung)
    yield from _circles(rungs)
    for loss in _written(values, rungs):
        yield from _teaches_something(loss)
        yield from _temperature(loss, values.text("task", "kind"))


def _taught(values: Values, section: str, name: str) -> Taught:
    width = values.number(section, name, "width")
    return Taught(
        section=section,
        name=name,
        parent=values.text(section, name, "init_from"),
        teacher=values.text(section, name, "taught_by"),
        width=1.0 if width is None else float(width),
        is_bi=values.text(section, name, "attention") == "bi",
        losses=_losses(values, f"{section}.{name}", section, name),
    )


def _losses(values: Values, field: str, *rung: str) -> list[Loss]:
    """Of each phase, else the rung's own, else the ladder's."""
    phases = _list_of_mappings(values.raw(*rung, "phases"))
    if phases:
        return [
            Loss(f"{field}.phases[{number}].distillation", _inside(phase.get("distillation")))
            for number, phase in enumerate(phases)
        ]
    if values.written(*rung, "distillation"):
        return [Loss(f"{field}.distillation", _inside(values.raw(*rung, "distillation")))]
    return [_ladders(values)]


def _ladders(values: Values) -> Loss:
    return Loss("distillation", _inside(values.raw("distillation")))


def _written(values: Values, rungs: Mapping[str, Taught]) -> Iterator[Loss]:
    """Each loss once, where it stands."""
    yield _ladders(values)
    for rung in rungs.values():
        yield from (loss for loss in rung.losses if loss.field != "distillation")


def _teacher(rung: Taught, rungs: Mapping[str, Taught]) -> Iterator[Problem]:
    known = [TEACHER, *(name for name in rungs if name != rung.name)]
    if rung.teacher == rung.name:
        yield rung.problem("taught_by", f"{rung.name} cannot teach itself; known: {listed(known)}")
    elif rung.teacher is not None and rung.teacher not in known:
        suggestion = did_you_mean(rung.teacher, known)
        yield rung.problem("taught_by", f"no rung {rung.teacher!r}; {suggestion}known: {listed(known)}")


def _circles(rungs: Mapping[str, Taught]) -> Iterator[Problem]:
    """Each circle with a teacher in it once; those of `init_from` alone are the ladder's."""
    found: set[frozenset[str]] = set()
    for name, rung in rungs.items():
        if rung.teacher is None or rung.teacher not in rungs or rung.teacher == name:
            continue
        way = _way(rung.teacher, name, rungs)
        if way is not None and frozenset(way) not in found:
            found.add(frozenset(way))
            steps = [_step(rungs[one], other) for one, other in pairwise(way)]
            circle = ", ".join((f"{name} is taught by {rung.teacher}", *steps))
            yield rung.problem("taught_by", f"a circle: {circle}; a teacher is trained before its students")


def _way(start: str, goal: str, rungs: Mapping[str, Taught]) -> list[str] | None:
    """The shortest way along what each rung needs; None if it does not lead there."""
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == goal:
            return way
        rung = rungs[way[-1]]
        for needed in (rung.parent, rung.teacher):
            if needed is not None and needed in rungs and needed not in seen:
                seen.add(needed)
                ways.append([*way, needed])
    return None


def _step(rung: Taught, needed: str) -> str:
    return f"{rung.name} {'starts from' if rung.parent == needed else 'is taught by'} {needed}"


def _heads(rung: Taught, rungs: Mapping[str, Taught]) -> Iterator[Problem]:
    """Terms that compare heads, between models whose heads are not alike."""
    its = rungs.get(rung.teacher or "")
    for loss in rung.losses:
        compared = [term for term in OF_HEADS if loss.weighs(term)]
        if compared and its is not None and its.width < rung.width:
            yield rung.problem(
                "taught_by",
                f"{its.name} has {its.width:g} of the heads, this rung {rung.width:g}, and {compared[0]} in "
                f"{loss.field} compares heads; a teacher as wide, or 0 there",
            )
        if loss.weighs("attention_scores") and rung.is_bi:
            yield rung.problem(
                "attention",
                "bi asks of a score only whether it is negative, and attention_scores in "
                f"{loss.field} would make it a softmax's; 0 there (directions is BiBERT's term)",
            )
        elif loss.weighs("attention_scores") and its is not None and its.is_bi:
            yield rung.problem(
                "taught_by",
                f"{its.name} attends by signs, so its scores are no softmax's; 0 for attention_scores in "
                f"{loss.field}, or another teacher",
            )


def _phases(values: Values, rung: Taught) -> Iterator[Problem]:
    phases = _list_of_mappings(values.raw(rung.section, rung.name, "phases"))
    if not phases:
        return
    if values.written(rung.section, rung.name, "distillation"):
        yield rung.problem("distillation", "phases have losses of their own; write one of the two")
    shares = [_inside(phase).number("share") for phase in phases]
    known = [float(share) for share in shares if share is not None]
    if len(known) == len(shares) and abs(sum(known) - 1) > _UNSURE:
        fitting = "write distillation for one loss" if len(known) == 1 else "their sum is 1"
        yield rung.problem("phases", f"the shares of the steps come to {sum(known):g}; {fitting}")
    steps = values.whole(rung.section, rung.name, "duration", "steps")
    if steps is not None and 0 < steps < len(phases):
        yield rung.problem(
            "phases", f"{len(phases)} phases do not fit in {steps} steps; each takes one at least"
        )
    yield from _learning_rates(values, rung, phases)


def _learning_rates(values: Values, rung: Taught, phases: list[Mapping[object, object]]) -> Iterator[Problem]:
    one_bit = values.whole(rung.section, rung.name, "activation_bits") == 1
    section = "binary_activations" if one_bit else "rung"
    own = values.number(rung.section, rung.name, "learning_rate")
    learning_rate = values.number("training", section, "learning_rate") if own is None else own
    for number, phase in enumerate(phases):
        factor = _inside(phase).number("learning_rate_factor")
        if learning_rate and factor and learning_rate * factor > _MOST_LEARNING_RATE:
            yield rung.problem(
                f"phases[{number}].learning_rate_factor",
                f"{factor:g} times {learning_rate:g} is {learning_rate * factor:g}; "
                "a learning rate is at most 1",
            )


def _teaches_something(loss: Loss) -> Iterator[Problem]:
    written = [term for term in TERMS if loss.weights.written(term)]
    weights = [loss.weights.number(term) for term in written]
    if written and not any(weight is None or weight != 0 for weight in weights):
        yield Problem(loss.field, "every weight is 0, so nothing would be learned; raise one")


def _temperature(loss: Loss, kind: str | None) -> Iterator[Problem]:
    temperature = loss.weights.number("temperature")
    where = f"{loss.field}.temperature"
    if temperature is None or temperature == 1 or temperature <= 0:
        return
    if kind == "regression":
        yield Problem(where, f"{temperature:g} of a softmax, and a regression has none; leave it out")
    elif not loss.weighs("logits"):
        yield Problem(where, f"{temperature:g} of the logits, which weigh 0; raise logits, or leave it out")
    elif not COOLEST <= temperature <= HOTTEST:
        yield Problem(where, f"{temperature:g} is not allowed; expected {COOLEST:g} to {HOTTEST:g}")


def _inside(value: object) -> Values:
    return Values(value if isinstance(value, Mapping) else {})


def _list_of_mappings(value: object) -> list[Mapping[object, object]]:
    """Nothing where one entry is none: that is the field's own problem."""
    entries = value if isinstance(value, list) else []
    return entries if all(isinstance(entry, Mapping) for entry in entries) else []
