"""Problems of durations: lengths that cannot be equal to another rung's, trainings too short to be scored."""

from collections.abc import Iterator, Mapping

from pipeline.durations import MixedError, UnequalError
from pipeline.params import Params
from pipeline.problems.problem import Problem, listed, of_rung, unknown
from pipeline.rungs import Rung

_KINDS = ("pretraining", "teacher", "rung", "binary_activations")
_FIELD = "duration.equal_to"


def duration_problems(params: Params, rungs: Mapping[str, Rung]) -> Iterator[Problem]:
    """Every problem of the budget and of the rungs' own. `rungs`: those that lead to the teacher."""
    budget = {f"budget.{kind}": getattr(params.budget, kind) for kind in _KINDS}
    for field, duration in budget.items():
        if duration.equal_to is not None:
            yield Problem(f"{field}.equal_to", "only for a rung's own duration; give steps or epochs")
            return
    steps = {f"budget.{kind}": getattr(params.budget, kind).steps for kind in _KINDS[1:]}
    mixed: dict[str, Problem] = {}
    for name, rung in rungs.items():
        if rung.duration is None:
            continue
        other = rung.duration.equal_to
        if other is not None and other not in params.rungs:
            known = (one for one in params.rungs if one != name)
            yield of_rung(name, rung, _FIELD, unknown("rung", other, known))
        elif other is None or other in rungs:
            try:
                steps[f"{rung.stage}.{name}.duration"] = params.duration_of(rung).steps
            except MixedError as error:
                mixed[name] = of_rung(name, rung, _FIELD, str(error))
            except UnequalError as error:
                yield of_rung(name, rung, _FIELD, str(error))
    yield from _mixed(mixed)
    for field, count in steps.items():
        if count is not None and count < params.budget.evaluations:
            yield Problem(
                "budget.evaluations",
                f"{params.budget.evaluations} do not fit in {count} steps ({field}); write at most {count}",
            )


def _mixed(found: Mapping[str, Problem]) -> Iterator[Problem]:
    """Said once: the budget makes it so for all of them."""
    if found:
        first, *others = found
        also = f"; the same holds for {listed(others)}" if others else ""
        remedy = "give all durations in steps (budget=hours)"
        yield Problem(found[first].field, f"{found[first].sentence}; {remedy}{also}")
