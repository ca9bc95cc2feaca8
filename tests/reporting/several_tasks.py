"""Results of several tasks, and a table of them."""

from typing import Any

import some_results

from pipeline.evaluation.results import Results, Scores, Value, difference
from pipeline.reporting.columns import Comparison, Source, compare

METRICS = {"cola": ["matthews_correlation"], "mrpc": ["accuracy", "f1"], "stsb": ["pearson", "spearman"]}
TASKS = ("rte", "qnli", "mnli", "qqp", "stsb", "mrpc", "sst2", "cola")


def of_task(task: str, teacher: float = 0.9, rung: Value = 0.8, **changes: Any) -> Results:
    """The teacher's and one rung's score, on MNLI 0.1 less where it is mismatched."""
    names = METRICS.get(task, ["accuracy"])
    splits = ["validation_matched", "validation_mismatched"] if task == "mnli" else ["validation"]
    rows = dict.fromkeys(splits, 100)

    def scores(value: Value) -> Scores:
        found: Scores = {splits[0]: dict.fromkeys(names, value)}
        return found | {split: {"accuracy": difference(value, 0.1)} for split in splits[1:]}

    models = {
        "teacher": some_results.teacher(teacher, scores=scores(teacher)),
        "w1": some_results.model(rung, gap=difference(rung, teacher), scores=scores(rung)),
    }
    setting = {"task": task, "metrics": names, "split": splits[0], "rows": rows, "rows_read": rows}
    majority = {split: 0.4 if split == splits[0] else 0.35 for split in splits}
    return some_results.results(models, **{**setting, "majority": majority, **changes})


def with_rung(found: Results, name: str = "w1", **changes: Any) -> Results:
    """The same with a changed w1, or beside it one of another name that is w1 but for the changes."""
    return some_results.with_models(found, **{name: found.models["w1"].model_copy(update=changes)})


def seeds(task: str, teachers: list[float], rungs: list[float]) -> Results:
    """Results of seed 0 with means over as many seeds as there are scores."""
    every = zip(teachers, rungs, strict=True)
    return some_results.of_several_seeds([of_task(task, *scores) for scores in every])


def as_peers_do(found: Results) -> Results:
    """The same with checkpoints chosen on the split that is reported."""
    chosen = {"selected_on": found.split}
    return some_results.with_models(
        found, **{name: model.model_copy(update=chosen) for name, model in found.models.items()}
    )


def source(found: Results, label: str = "") -> Source:
    return Source(label, f"{label or found.task}.json", found)


def table(*found: Results) -> Comparison:
    return compare([source(one) for one in found])


def every_task() -> list[Results]:
    """w1 gets 0.80 on RTE, 0.81 on QNLI and so on, 0.05 less than the teacher everywhere."""
    return [of_task(task, 0.85 + n / 100, 0.80 + n / 100) for n, task in enumerate(TASKS)]
