"""What the papers claim, held against this ladder's own results.

A claim names two rungs, one of which should have the higher score on the first validation split. Their
difference is uncertain for two reasons:

- other examples would have been answered otherwise: E, the paired jackknife error of the two models of
  `seed` (`pipeline.evaluation.left_out`);
- another seed would have trained otherwise: S, the standard deviation of the difference over n seeds, taken
  seed by seed. With one seed nobody knows, and the claim says so.

The standard error is sqrt(E^2 + S^2/n), rather too large than too small: what differs by example from seed to
seed is in both. The interval is Student's t with the degrees of freedom of Welch and Satterthwaite: a spread
over three seeds counts as no better known than it is. Each claim is judged by itself.

A rung that gives one answer to all rows has learned nothing, yet its score may be the higher one where
labels are uneven: nothing is judged by it. Where that leaves a score undefined, accuracies are shown.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from pipeline.evaluation.left_out import standard_error
from pipeline.evaluation.results import ClaimResult, Measure, ModelResult, Value, Verdict
from pipeline.ladder.claims import KINDS, Kind
from pipeline.params import Claim
from pipeline.tasks.metrics import Array

Models = Mapping[str, ModelResult]
# By model: its score, and its accuracy, without each example in turn; none where the measure is undefined.
Without = Mapping[str, Mapping[Measure, Array]]
CONFIDENCE = 0.95
RULE = (
    "holds (does not hold) when the whole 95 % interval of the difference (Student's t) is above (below) "
    "zero, else it is within noise; the interval counts the drawing of the examples, which both rungs "
    "answered (paired jackknife), and "
)
ONE_SEED = "not what another seed would give"
SEEDS = "the spread of the difference over seeds, taken seed by seed"


@dataclass(frozen=True)
class Measured:
    """Two rungs by one measure.

    Attributes:
        measure: the task's score; accuracy where a score is undefined.
        better, worse: means over seeds.
        differences: by seed.
        error: standard error of the mean difference; of the examples alone with one seed.
        degrees: of freedom.
    """

    measure: Measure
    better: float
    worse: float
    differences: dict[str, float]
    error: float
    degrees: float

    @property
    def difference(self) -> float:
        return statistics.fmean(self.differences.values())

    @property
    def margin(self) -> float:
        """Half the interval."""
        from scipy.stats import t

        return float(t.ppf((1 + CONFIDENCE) / 2, self.degrees)) * self.error if self.error else 0.0


def judge(declared: Sequence[Claim], models: Models, without: Without) -> list[ClaimResult]:
    """One result per declared claim whose two rungs are among the models."""
    return [
        _judged(claim, models, without) for claim in declared if {claim.better, claim.worse} <= models.keys()
    ]


def named(declared: Sequence[Claim]) -> set[str]:
    """The rungs that some claim is about."""
    return {name for claim in declared for name in (claim.better, claim.worse)}


def verdict(difference: float, margin: float) -> Verdict:
    if abs(difference) <= margin:
        return "within noise"
    return "holds" if difference > 0 else "does not hold"


def combined(by_examples: float, num_examples: int, differences: Sequence[float]) -> tuple[float, float]:
    """Standard error of the mean of the differences by seed, and its degrees of freedom."""
    if len(differences) < 2:
        return by_examples, num_examples - 1
    by_seeds = statistics.stdev(differences) / math.sqrt(len(differences))
    larger = max(by_examples, by_seeds)
    if larger == 0:
        return 0.0, num_examples - 1
    # Of the larger one, for fourth powers of very small errors are zero.
    examples, seeds = by_examples / larger, by_seeds / larger
    parts = examples**4 / (num_examples - 1) + seeds**4 / (len(differences) - 1)
    return math.hypot(by_examples, by_seeds), (examples**2 + seeds**2) ** 2 / parts


def measured(better: str, worse: str, models: Models, without: Without) -> Measured | None:
    """By the score, over all seeds that both have; else by accuracy; None where that is undefined too."""
    names = (better, worse)
    for measure in get_args(Measure):
        if undefined(measure, names, models, without) is None:
            first, second = (models[name].by_seed(measure) for name in names)
            both = {seed: (first[seed], second[seed]) for seed in first if seed in second}
            return _measured(measure, both, *(without[name][measure] for name in names))
    return None


def undefined(measure: Measure, names: Sequence[str], models: Models, without: Without) -> str | None:
    """Where a measure cannot judge these rungs, as in `undefined for w1 of seed 2`; None where it can."""
    for name in names:
        scores = models[name].by_seed(measure)
        missing = [seed for seed, value in scores.items() if not _is_defined(value)]
        if missing:
            return f"undefined for {_of_seeds(name, missing, scores)}"
        if (left_out := without.get(name, {}).get(measure)) is None:
            return f"not known of {name} by example"
        if not _is_defined(left_out):
            return f"undefined for {name} without one example"
    return None


def _measured(measure: Measure, both: Mapping[str, Any], better_N: Any, worse_N: Any) -> Measured:
    differences = {seed: better - worse for seed, (better, worse) in both.items()}
    by_examples = standard_error(better_N, worse_N)
    error, degrees = combined(by_examples, len(better_N), list(differences.values()))
    better, worse = (statistics.fmean(each) for each in zip(*both.values(), strict=True))
    return Measured(measure, better, worse, differences, error, degrees)


def _judged(claim: Claim, models: Models, without: Without) -> ClaimResult:
    names = (claim.better, claim.worse)
    pair, kind = {name: models[name] for name in names}, KINDS[claim.claim]
    steps = {name: model.total_steps for name, model in pair.items()}
    augmented = {name: model.augmented_steps for name, model in pair.items()}
    unequal = _unequal(kind, steps, augmented)
    clauses = [_training(steps)]
    clauses += [_data(steps, augmented)] if "data" in unequal else []
    clauses += [", ".join(f"{n} {m.mib:.3f} MiB" for n, m in pair.items())] if kind.is_about_size else []
    collapsed = {name: model.collapsed_seeds for name, model in pair.items()}
    scores = [score for model in pair.values() for score in model.by_seed().values()]
    return ClaimResult(
        claim=claim.claim,
        statement=f"{kind.statement.format(better=claim.better, worse=claim.worse)} ({'; '.join(clauses)})",
        rungs=list(names),
        **_figures(
            names,
            measured(*names, models, without),
            is_judged=all(map(_is_defined, scores)) and not any(collapsed.values()),
        ),
        collapsed=[_of_seeds(n, some, models[n].by_seed()) for n, some in collapsed.items() if some],
        score_is=undefined("score", names, models, without),
        num_examples=models[claim.better].num_examples,
        total_steps=steps,
        augmented_steps=augmented,
        equal_steps="steps" not in unequal,
        unequal=unequal,
    )


def _figures(names: Sequence[str], found: Measured | None, *, is_judged: bool) -> dict[str, Any]:
    """The fields of a ClaimResult that are about numbers."""
    if found is None:
        unknown = dict.fromkeys(("measure", "values", "difference", "standard_error", "margin"))
        return {**unknown, "differences": {}, "num_seeds": 0, "verdict": "not judged", "rule": "undefined"}
    return {
        "measure": found.measure,
        "values": dict(zip(names, (found.better, found.worse), strict=True)),
        "difference": found.difference,
        "standard_error": found.error,
        "margin": found.margin,
        "differences": found.differences,
        "num_seeds": len(found.differences),
        "verdict": verdict(found.difference, found.margin) if is_judged else "not judged",
        "rule": RULE + (ONE_SEED if len(found.differences) == 1 else SEEDS),
    }


def _unequal(kind: Kind, steps: Mapping[str, int], augmented: Mapping[str, int]) -> list[str]:
    """What the two differ in beside what is claimed: steps in all, share of them on augmented rows."""
    (first, second), (of_first, of_second) = steps.values(), augmented.values()
    has_other_data = of_first * second != of_second * first and not kind.is_about_data
    return ["steps"] * (first != second) + ["data"] * has_other_data


def _training(steps: Mapping[str, int]) -> str:
    if len(set(steps.values())) == 1:
        return f"both after {next(iter(steps.values()))} steps"
    return ", ".join(f"{name} after {count} steps" for name, count in steps.items()) + ": not equal training"


def _data(steps: Mapping[str, int], augmented: Mapping[str, int]) -> str:
    said = [f"{name} {augmented[name] or 'none'} of {count}" for name, count in steps.items()]
    return f"not equal data: of their steps on augmented rows, {', '.join(said)}"


def _of_seeds(name: str, some: Sequence[str], every: Mapping[str, Any]) -> str:
    """`w1 of seeds 0, 2`; with one seed, and so of all there are, `w1`."""
    return name if len(every) == 1 else f"{name} of seed{'s' * (len(some) > 1)} {', '.join(some)}"


def _is_defined(value: Array | Value) -> bool:
    return value is not None and bool(np.isfinite(value).all())
