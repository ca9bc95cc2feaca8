"""Problems of durations: lengths that cannot be equal to another rung's, trainings too short to be scored."""

from collections.abc import Iterator, Mapping

from pipeline.durations import MixedError, UnequalError
from pipeline.params import Params
from pipeline.problems.problem import Problem, listed, unknown
from pipeline.rungs import Rung

_KINDS = ("pretraining", "teacher", "rung", "binary_activations")


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
        other, place = rung.duration.equal_to, f"{rung.stage}.{name}.duration"
        if other is not None and other not in params.rungs:
            known = (one for one in params.rungs if one != name)
            yield Problem(f"{place}.equal_to", unknown("rung", other, known))
        elif other is None or other in rungs:
            try:
                steps[place] = params.duration_of(rung).steps
            except MixedError as error:
                mixed[name] = Problem(f"{place}.equal_to", str(error))
            except UnequalError as error:
                yield Problem(f"{place}.equal_to", str(error))
    if mixed:  # said once: the budget makes it so for all of them
        (_, first), *others = mixed.items()
        also = f"; the same holds for {listed(name for name, _ in others)}" if others else ""
        remedy = "give all durations in steps (budget=hours)"
        yield Problem(first.field, f"{first.sentence}; {remedy}{also}")
    for field, count in steps.items():
        if count is not None and count < params.budget.evaluations:
            yield Problem(
                "budget.evaluations",
                f"{params.budget.evaluations} do not fit in {count} steps ({field}); write at most {count}",
            )
