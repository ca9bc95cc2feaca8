"""Problems of `distillation` and `phases`: losses that teach nothing, or compare what is not alike."""

from collections.abc import Iterator

from pipeline.params import Params
from pipeline.problems.problem import Problem, of_rung
from pipeline.rungs import ActivationRung, Distillation, Rung

TERMS = ("logits", "hidden_states", "attention_scores", "labels", "directions")
OF_HEADS = ("attention_scores", "directions")
_MOST_LEARNING_RATE = 1.0
_UNSURE = 1e-6  # what decimal shares may miss of 1

Losses = dict[str, Distillation]  # by the field that each stands in


def distillation_problems(params: Params) -> Iterator[Problem]:
    """Every problem of who teaches what."""
    losses: Losses = {"distillation": params.distillation}
    for name, rung in params.rungs.items():
        own = _losses(name, rung)
        yield from _heads(name, rung, own or losses, params.rungs.get(rung.taught_by))
        yield from _phases(name, rung, params)
        losses |= own
    for field, loss in losses.items():
        yield from _teaches_something(field, loss, params.task.kind)


def _losses(name: str, rung: Rung) -> Losses:
    """Of each phase, else the rung's own; none where it has the ladder's."""
    place = f"{rung.stage}.{name}"
    if rung.phases:
        return {
            f"{place}.phases[{n}].distillation": phase.distillation for n, phase in enumerate(rung.phases)
        }
    return {f"{place}.distillation": rung.distillation} if rung.distillation else {}


def _heads(name: str, rung: Rung, losses: Losses, teacher: Rung | None) -> Iterator[Problem]:
    """Terms that compare heads, between models whose heads are not alike."""
    for field, loss in losses.items():
        compared = [term for term in OF_HEADS if getattr(loss, term)]
        if compared and teacher and teacher.width < rung.width:
            yield of_rung(
                name,
                rung,
                "taught_by",
                f"{rung.taught_by} has {teacher.width:g} of the heads, this rung {rung.width:g}, and "
                f"{compared[0]} in {field} compares heads; write 0 there, or choose a teacher as wide",
            )
        if loss.attention_scores and _is_bi(rung):
            yield of_rung(
                name,
                rung,
                "attention",
                f"bi has no softmax, whose scores attention_scores in {field} compares; write 0 there "
                "(BiBERT uses directions)",
            )
        elif loss.attention_scores and teacher and _is_bi(teacher):
            yield of_rung(
                name,
                rung,
                "taught_by",
                f"{rung.taught_by} has attention: bi, and attention_scores in {field} needs a softmax; "
                "write 0 there, or choose another teacher",
            )


def _is_bi(rung: Rung) -> bool:
    return isinstance(rung, ActivationRung) and rung.attention == "bi"


def _phases(name: str, rung: Rung, params: Params) -> Iterator[Problem]:
    if not rung.phases:
        return
    if rung.distillation is not None:
        yield of_rung(name, rung, "distillation", "phases have losses of their own; write one of the two")
    total = sum(phase.share for phase in rung.phases)
    if abs(total - 1) > _UNSURE:
        single = "; for one loss write distillation" if len(rung.phases) == 1 else ""
        yield of_rung(name, rung, "phases", f"the shares add up to {total:g}, and must add up to 1{single}")
    steps = rung.duration.steps if rung.duration else None
    if steps is not None and steps < len(rung.phases):
        yield of_rung(
            name,
            rung,
            "phases",
            f"{len(rung.phases)} phases do not fit in {steps} steps; each needs at least one",
        )
    learning_rate = rung.learning_rate or params.optimization_of(rung).learning_rate
    for number, phase in enumerate(rung.phases):
        if (most := learning_rate * phase.learning_rate_factor) > _MOST_LEARNING_RATE:
            yield of_rung(
                name,
                rung,
                f"phases[{number}].learning_rate_factor",
                f"{phase.learning_rate_factor:g} times the learning rate {learning_rate:g} is {most:g}; "
                "at most 1 is allowed",
            )


def _teaches_something(field: str, loss: Distillation, kind: str) -> Iterator[Problem]:
    if not any(getattr(loss, term) for term in TERMS):
        yield Problem(field, "every weight is 0, so nothing would be learned; raise one")
    if loss.temperature == 1:
        return
    where = f"{field}.temperature"
    if kind == "regression":
        yield Problem(where, f"{loss.temperature:g}, but a regression has no softmax; leave it out")
    elif not loss.logits:
        yield Problem(where, f"{loss.temperature:g}, but logits weighs 0; raise logits, or leave it out")
