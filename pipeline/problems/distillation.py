"""Problems of `distillation` and `phases`: losses that teach nothing, or compare what is not alike."""

from collections.abc import Iterator

from pipeline.kinds import KINDS
from pipeline.params import KindName, Params
from pipeline.problems.problem import Found, Problem, listed, of_rung
from pipeline.rungs import ActivationRung, Distillation, Rung

TERMS = (
    "logits",
    "hidden_states",
    "attention_scores",
    "labels",
    "directions",
    "sentence_vectors",
    "similarities",
)
OF_A_TASK = ("logits", "labels")
OF_HEADS = ("attention_scores", "directions")
_MOST_LEARNING_RATE = 1.0
_UNSURE = 1e-6  # what decimal shares may miss of 1

Losses = dict[str, Distillation]  # by the field that each stands in


def distillation_problems(params: Params) -> Iterator[Problem]:
    """Every problem of who teaches what."""
    losses: Losses = {"distillation": params.distillation}
    for name, rung in params.rungs.items():
        own = _losses(f"{rung.stage}.{name}", rung)
        heads = _heads(rung, own or losses, params.rungs.get(rung.taught_by))
        phases = _phases(rung) if rung.phases else ()
        general = _of_no_task(own) if rung.stage == "general" else ()
        yield from of_rung(name, rung, heads, phases, general, _rates(rung, params))
        losses |= own
    for field, loss in losses.items():
        yield from _teaches_something(field, loss, params.task.kind)


def _of_no_task(losses: Losses) -> Found:
    for field, loss in losses.items():
        if wrong := [term for term in OF_A_TASK if getattr(loss, term)]:
            place = field.split(".", 2)[2]
            yield place, f"plain text has neither labels nor answers; write 0 for {listed(wrong)}"


def _losses(place: str, rung: Rung) -> Losses:
    """Of each phase, else the rung's own; none where it has the ladder's."""
    if rung.phases:
        return {
            f"{place}.phases[{n}].distillation": phase.distillation for n, phase in enumerate(rung.phases)
        }
    return {f"{place}.distillation": rung.distillation} if rung.distillation else {}


def _heads(rung: Rung, losses: Losses, teacher: Rung | None) -> Found:
    """Terms that compare heads, between models whose heads are not alike."""
    for field, loss in losses.items():
        compared = [term for term in OF_HEADS if getattr(loss, term)]
        if compared and teacher and teacher.width < rung.width:
            yield (
                "taught_by",
                f"{rung.taught_by} has {teacher.width:g} of the heads, this rung {rung.width:g}, and "
                f"{compared[0]} in {field} compares heads; write 0 there, or choose a teacher as wide",
            )
        scores = f"attention_scores in {field}"
        if loss.attention_scores and _is_bi(rung):
            remedy = "write 0 there (BiBERT uses directions)"
            yield "attention", f"bi has no softmax, whose scores {scores} compares; {remedy}"
        elif loss.attention_scores and teacher and _is_bi(teacher):
            remedy = "write 0 there, or choose another teacher"
            yield "taught_by", f"{rung.taught_by} has attention: bi, and {scores} needs a softmax; {remedy}"


def _is_bi(rung: Rung) -> bool:
    return isinstance(rung, ActivationRung) and rung.attention == "bi"


def _phases(rung: Rung) -> Found:
    if rung.distillation is not None:
        yield "distillation", "phases have losses of their own; write one of the two"
    total, count = sum(phase.share for phase in rung.phases), len(rung.phases)
    if abs(total - 1) > _UNSURE:
        single = "; for one loss write distillation" if count == 1 else ""
        yield "phases", f"the shares add up to {total:g}, and must add up to 1{single}"
    steps = rung.duration.steps if rung.duration else None
    if steps is not None and steps < count:
        yield "phases", f"{count} phases do not fit in {steps} steps; each needs at least one"


def _rates(rung: Rung, params: Params) -> Found:
    """Learning rates that factors make too large."""
    rate, own = params.optimization_of(rung).learning_rate, rung.learning_rate_factor
    factors = {"": (own, rate / own)}
    factors |= {f"phases[{n}].": (one.learning_rate_factor, rate) for n, one in enumerate(rung.phases)}
    for where, (factor, base) in factors.items():
        if (most := factor * base) > _MOST_LEARNING_RATE:
            sentence = f"{factor:g} times the learning rate {base:g} is {most:g}; at most 1 is allowed"
            yield f"{where}learning_rate_factor", sentence


def _teaches_something(field: str, loss: Distillation, kind: KindName) -> Iterator[Problem]:
    if not any(getattr(loss, term) for term in TERMS):
        yield Problem(field, "every weight is 0, so nothing would be learned; raise one")
    if KINDS[kind].loss == "cosine" and loss.labels:
        yield Problem(f"{field}.labels", f"{loss.labels:g}, but {kind} has no labels; write 0")
    if loss.temperature == 1:
        return
    where = f"{field}.temperature"
    if KINDS[kind].loss in ("squared_error", "cosine"):
        yield Problem(where, f"{loss.temperature:g}, but a {kind} has no softmax; leave it out")
    elif not loss.logits:
        yield Problem(where, f"{loss.temperature:g}, but logits weighs 0; raise logits, or leave it out")
