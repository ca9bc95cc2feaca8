"""Mean and spread of one model's score over trainings that differ in their seed alone.

The spread is the sample standard deviation (n - 1), which one seed does not have. A score that is undefined
for one seed leaves mean and spread undefined: to leave that seed out would drop the trainings that collapsed.
The gap to the teacher is taken seed by seed, each student's to the teacher that was trained with its seed, so
that what a seed does to the teacher is not counted as the student's. The same of each metric on each split.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.rungs import TEACHER

Models = Mapping[str, Mapping[str, Any]]  # by name, as in results.json: its scores and its gap are read
# What `over_seeds` calls a model's values, by what one model's is called.
_OF_SEEDS = {"score": "scores", "accuracy": "accuracies", "collapsed": "collapsed"}


def over_seeds(models_by_seed: Mapping[int, Models]) -> dict[str, dict[str, Any]]:
    """Of each model that every seed has: `scores` by seed, `mean`, `std`, `num_seeds`, `gap_mean`, `gap_std`.

    `metrics` has means and spreads of every metric, by split; `accuracies` the share that is right, by seed;
    `collapsed` whether it always gives the same answer, by seed. The seeds are text, as keys of JSON are.
    What is undefined is None.
    """
    every = list(models_by_seed.values())
    shared = [name for name in (every[0] if every else {}) if all(name in models for models in every)]
    return {name: _of_model(name, models_by_seed) for name in shared}


def by_seed(model: Mapping[str, Any], what: str = "score") -> dict[str, Any]:
    """A model's `score`, `accuracy` or `collapsed`, as in results.json, of each seed it was trained with."""
    return dict(model["seeds"][_OF_SEEDS[what]]) if model.get("seeds") else {str(model["seed"]): model[what]}


def collapsed(model: Mapping[str, Any]) -> list[str]:
    """The seeds whose model gives one answer to all rows of the first validation split."""
    return [seed for seed, is_so in by_seed(model, "collapsed").items() if is_so]


def mean(values: Sequence[float | None]) -> float | None:
    """None when there is no value or one of them is undefined."""
    defined = _defined(values)
    return statistics.fmean(defined) if defined else None


def spread(values: Sequence[float | None]) -> float | None:
    """Sample standard deviation; None for fewer than two values or when one of them is undefined."""
    defined = _defined(values)
    return statistics.stdev(defined) if len(defined) > 1 else None


def _of_model(name: str, models_by_seed: Mapping[int, Models]) -> dict[str, Any]:
    seeds = sorted(models_by_seed)
    scores = [models_by_seed[seed][name]["score"] for seed in seeds]
    gaps = [models_by_seed[seed][name]["gap"] for seed in seeds]
    return {
        "scores": {str(seed): score for seed, score in zip(seeds, scores, strict=True)},
        "accuracies": {str(seed): models_by_seed[seed][name]["accuracy"] for seed in seeds},
        "collapsed": {str(seed): models_by_seed[seed][name]["collapsed"] for seed in seeds},
        "num_seeds": len(seeds),
        **_means(scores, gaps),
        "metrics": {
            split: {metric: _of_metric(name, models_by_seed, split, metric) for metric in metrics}
            for split, metrics in models_by_seed[seeds[0]][name]["scores"].items()
        },
    }


def _of_metric(name: str, models_by_seed: Mapping[int, Models], split: str, metric: str) -> dict[str, Any]:
    scores, teachers = (
        [models[one]["scores"][split][metric] for models in models_by_seed.values()]
        for one in (name, TEACHER)
    )
    gaps = [
        None if score is None or teacher is None else score - teacher
        for score, teacher in zip(scores, teachers, strict=True)
    ]
    return _means(scores, gaps)


def _means(scores: Sequence[float | None], gaps: Sequence[float | None]) -> dict[str, float | None]:
    return {"mean": mean(scores), "std": spread(scores), "gap_mean": mean(gaps), "gap_std": spread(gaps)}


def _defined(values: Sequence[float | None]) -> list[float]:
    """All values, or none of them when one is undefined."""
    defined = [value for value in values if value is not None]
    return defined if len(defined) == len(values) else []
