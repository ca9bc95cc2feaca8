"""Mean and spread of one model's score over trainings that differ in their seed alone.

The spread is the sample standard deviation (n - 1), which one seed does not have. A score that is undefined
for one seed leaves mean and spread undefined: to leave that seed out would drop the trainings that collapsed.
The gap to the teacher is taken seed by seed, each student's to the teacher that was trained with its seed, so
that what a seed does to the teacher is not counted as the student's. The same of each metric on each split.
"""

import statistics
from collections.abc import Mapping, Sequence

from pipeline.evaluation.results import Means, ModelResult, OverSeeds, Value, difference
from pipeline.rungs import TEACHER

Models = Mapping[str, ModelResult]  # by name


def over_seeds(models_by_seed: Mapping[int, Models]) -> dict[str, OverSeeds]:
    """Of each model that every seed has."""
    every = list(models_by_seed.values())
    shared = [name for name in (every[0] if every else {}) if all(name in models for models in every)]
    return {name: _of_model(name, models_by_seed) for name in shared}


def mean(values: Sequence[Value]) -> Value:
    """None when there is no value or one of them is undefined."""
    defined = [value for value in values if value is not None]
    return statistics.fmean(defined) if 0 < len(defined) == len(values) else None


def spread(values: Sequence[Value]) -> Value:
    """Sample standard deviation; None for fewer than two values or when one of them is undefined."""
    defined = [value for value in values if value is not None]
    return statistics.stdev(defined) if 1 < len(defined) == len(values) else None


def _of_model(name: str, models_by_seed: Mapping[int, Models]) -> OverSeeds:
    own = {str(seed): models_by_seed[seed][name] for seed in sorted(models_by_seed)}
    teachers = [models_by_seed[seed][TEACHER] for seed in sorted(models_by_seed)]
    found = list(own.values())
    return OverSeeds(
        scores={seed: model.score for seed, model in own.items()},
        accuracies={seed: model.accuracy for seed, model in own.items()},
        collapsed={seed: model.collapsed for seed, model in own.items()},
        num_seeds=len(own),
        metrics={
            split: {metric: _of_metric(found, teachers, split, metric) for metric in metrics}
            for split, metrics in found[0].scores.items()
        },
        **_means([model.score for model in found], [model.gap for model in found]),
    )


def _of_metric(models: list[ModelResult], teachers: list[ModelResult], split: str, metric: str) -> Means:
    scores, best = ([model.scores[split][metric] for model in each] for each in (models, teachers))
    return Means(**_means(scores, list(map(difference, scores, best))))


def _means(scores: Sequence[Value], gaps: Sequence[Value]) -> dict[str, Value]:
    return {"mean": mean(scores), "std": spread(scores), "gap_mean": mean(gaps), "gap_std": spread(gaps)}
