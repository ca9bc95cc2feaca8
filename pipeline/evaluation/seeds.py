"""Mean and spread of one model's score over trainings that differ in their seed alone.

The spread is the sample standard deviation (n - 1), which one seed does not have. A score that is undefined
for one seed leaves mean and spread undefined: to leave that seed out would drop the trainings that collapsed.
The gap to the teacher is taken seed by seed, each student's to the teacher that was trained with its seed, so
that what a seed does to the teacher is not counted as the student's.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Models = Mapping[str, Mapping[str, Any]]  # by name, as in results.json; here `score` and `gap` are read


def over_seeds(models_by_seed: Mapping[int, Models]) -> dict[str, dict[str, Any]]:
    """Of each model that every seed has: `scores` by seed, `mean`, `std`, `num_seeds`, `gap_mean`, `gap_std`.

    The seeds in `scores` are text, as keys of JSON are. What is undefined is None.
    """
    every = list(models_by_seed.values())
    shared = [name for name in (every[0] if every else {}) if all(name in models for models in every)]
    return {name: _of_model(name, models_by_seed) for name in shared}


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
        "mean": mean(scores),
        "std": spread(scores),
        "num_seeds": len(seeds),
        "gap_mean": mean(gaps),
        "gap_std": spread(gaps),
    }


def _defined(values: Sequence[float | None]) -> list[float]:
    """All values, or none of them when one is undefined."""
    defined = [value for value in values if value is not None]
    return defined if len(defined) == len(values) else []
