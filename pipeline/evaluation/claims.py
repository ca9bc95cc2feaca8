"""What the papers claim, held against this ladder's own results.

A claim names two rungs, one of which should have the higher score on the first validation split. Their
difference is uncertain for two reasons:

- other examples would have been answered otherwise: E, the paired jackknife error of the two models of
  `seed`;
- another seed would have trained otherwise: S, the standard deviation of the difference over n seeds, taken
  seed by seed. With one seed nobody knows, and the claim says so.

The standard error is sqrt(E^2 + S^2/n), rather too large than too small: what differs by example from seed to
seed is in both. The interval is Student's t with the degrees of freedom of Welch and Satterthwaite: a spread
over three seeds counts as no better known than it is. Each claim is judged by itself.

A rung that gives one answer to all rows has learned nothing, yet its score may be the higher one where
labels are uneven: nothing is judged by it. Where that leaves a score undefined, accuracies are shown.

E: the delete-one jackknife (Quenouille 1956; Tukey 1958). From the scores of two models without example i,
d_i = first_i - second_i, comes the standard error of their difference over draws of N such examples:

    sqrt((N - 1) / N * sum((d_i - mean(d))^2))

It is paired, both models answer the same examples, and works for any smooth score: Matthews correlation, F1,
a mean of two metrics. For accuracy it is exactly the standard error of the mean of the examples' differences,
which McNemar's test looks at too.

Shapes: N examples, K numbers that an example's part of the score is made of (`Scored.examples_NK`).
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, get_args

import numpy as np
from scipy.stats import t as student

from pipeline import kinds
from pipeline.evaluation.results import ClaimResult, Difference, Measure, ModelResult, Value, Verdict
from pipeline.kinds.metrics import Array
from pipeline.ladder.claims import KINDS, Kind
from pipeline.params import Claim, Params

Models = Mapping[str, ModelResult]
Score = Callable[[Array], float | None]
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


def scores_without_each(rows_NK: Array, score: Score) -> Array:
    """The score without example i, [N]; NaN where undefined. Of examples that are alike one is left out."""
    _, first, kind_of = np.unique(rows_NK, axis=0, return_index=True, return_inverse=True)
    found = [score(np.delete(rows_NK, row, axis=0)) for row in first]
    without = np.array([np.nan if value is None else value for value in found])
    return without[kind_of.reshape(-1)]


def without_each(params: Params, rows: Mapping[str, Array]) -> Without:
    """Of the rungs that a claim is about, each measure without each example in turn.

    Args:
        rows: of every model, `Scored.examples_NK`.
    """
    named = {name for claim in params.claims for name in (claim.better, claim.worse)}
    kind = kinds.of(params.task)
    ways: dict[Measure, Score] = {"score": partial(kind.score, task=params.task)}
    if kind.has_names:
        ways["accuracy"] = kind.accuracy
    return {
        name: {measure: scores_without_each(rows_NK, score) for measure, score in ways.items()}
        for name, rows_NK in rows.items()
        if name in named
    }


def standard_error(first_N: Array, second_N: Array) -> float:
    """Of the difference of two models' scores, from those without each example."""
    difference_N = first_N - second_N
    num_examples = len(difference_N)
    return float(np.sqrt((num_examples - 1) * difference_N.var()))


def judge(declared: Sequence[Claim], models: Models, without: Without) -> list[ClaimResult]:
    """One result per declared claim whose two rungs are among the models."""
    return [
        _judged(claim, models, without) for claim in declared if {claim.better, claim.worse} <= models.keys()
    ]


def verdict(difference: float | None, margin: float | None) -> Verdict:
    if difference is None or margin is None:
        return "not judged"
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


def measured(names: Sequence[str], models: Models, without: Without) -> Difference:
    """Of the better and the worse one, by the score, over all seeds that both have; else by accuracy."""
    for measure in get_args(Measure):
        if undefined(measure, names, models, without) is None:
            scores: list[Mapping[str, Any]] = [models[name].by_seed(measure) for name in names]
            differences = {seed: scores[0][seed] - scores[1][seed] for seed in scores[0] if seed in scores[1]}
            better_N, worse_N = (without[name][measure] for name in names)
            by_examples = standard_error(better_N, worse_N)
            error, degrees = combined(by_examples, len(better_N), list(differences.values()))
            means = (statistics.fmean(own[seed] for seed in differences) for own in scores)
            return Difference(
                measure=measure,
                values=dict(zip(names, means, strict=True)),
                difference=statistics.fmean(differences.values()),
                standard_error=error,
                margin=float(student.ppf((1 + CONFIDENCE) / 2, degrees)) * error if error else 0.0,
                differences=differences,
                num_seeds=len(differences),
            )
    unknown = dict.fromkeys(("measure", "values", "difference", "standard_error", "margin"))
    return Difference(**unknown, differences={}, num_seeds=0)


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


def _judged(claim: Claim, models: Models, without: Without) -> ClaimResult:
    names = (claim.better, claim.worse)
    pair, kind = {name: models[name] for name in names}, KINDS[claim.claim]
    steps = {name: model.total_steps for name, model in pair.items()}
    augmented = {name: model.augmented_steps for name, model in pair.items()}
    better, worse = names
    unequal = ["steps"] * (steps[better] != steps[worse])
    # Not the steps but the share of them on augmented rows.
    if augmented[better] * steps[worse] != augmented[worse] * steps[better] and not kind.is_about_data:
        unequal.append("data")
    collapsed = {name: model.collapsed_seeds for name, model in pair.items()}
    scores = [score for model in pair.values() for score in model.by_seed().values()]
    found = measured(names, models, without)
    is_judged = all(map(_is_defined, scores)) and not any(collapsed.values())
    return ClaimResult(
        **dict(found),
        claim=claim.claim,
        statement=_statement(claim, kind, pair, unequal),
        rungs=list(names),
        verdict=verdict(found.difference, found.margin) if is_judged else "not judged",
        rule=RULE + (ONE_SEED if found.num_seeds == 1 else SEEDS) if found.measure else "undefined",
        collapsed=[_of_seeds(n, some, models[n].by_seed()) for n, some in collapsed.items() if some],
        score_is=undefined("score", names, models, without),
        num_examples=models[claim.better].num_examples,
        total_steps=steps,
        augmented_steps=augmented,
        equal_steps="steps" not in unequal,
        unequal=unequal,
    )


def _statement(claim: Claim, kind: Kind, pair: Models, unequal: Sequence[str]) -> str:
    """What is claimed, and what the two rungs differ in, in words."""
    clauses = [f"both after {pair[claim.better].total_steps} steps"]
    if "steps" in unequal:
        after = ", ".join(f"{name} after {model.total_steps} steps" for name, model in pair.items())
        clauses = [f"{after}: not equal training"]
    if "data" in unequal:
        said = (f"{n} {model.augmented_steps or 'none'} of {model.total_steps}" for n, model in pair.items())
        clauses.append(f"not equal data: of their steps on augmented rows, {', '.join(said)}")
    if kind.is_about_size:
        clauses.append(", ".join(f"{name} {model.mib:.3f} MiB" for name, model in pair.items()))
    return f"{kind.statement.format(better=claim.better, worse=claim.worse)} ({'; '.join(clauses)})"


def _of_seeds(name: str, some: Sequence[str], every: Mapping[str, Any]) -> str:
    """`w1 of seeds 0, 2`; with one seed, and so of all there are, `w1`."""
    return name if len(every) == 1 else f"{name} of seed{'s' * (len(some) > 1)} {', '.join(some)}"


def _is_defined(value: Array | Value) -> bool:
    return value is not None and bool(np.isfinite(value).all())
