"""Stage `evaluate`: scores of every delivered rung, from its packed file, and of the teacher; sizes; claims.

Writes `metrics/results.json` (everything), `metrics/table.csv` (a row per model) and `metrics/curves.csv`
(every rung's training curve). The validation splits scored here chose nothing, unless params.yaml asks for
the peers' habit (`evaluation.selection`). Means over seeds are made of these scores and those of `repeat`;
`score` is always that of `seed`, whose file is packed.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitladder import files
from pipeline import paths, record
from pipeline.evaluation import agreement
from pipeline.evaluation.results import FORMAT, KEY, check
from pipeline.evaluation.seeds import over_seeds
from pipeline.ladder.words import unusual
from pipeline.params import Params, Task
from pipeline.progress import say
from pipeline.record import Record
from pipeline.rungs import TEACHER

WEIGHTS = paths.WEIGHTS
RESULTS = paths.RESULTS
TABLE, CURVES = (paths.METRICS / name for name in ("table.csv", "curves.csv"))
_COLUMNS = ("parent", "weight_bits", "embedding_bits", "activation_bits", "mib", "ratio", "score", "gap")
_OF_SEEDS = ("mean", "std", "num_seeds")
_HEADINGS = ("rung", *_COLUMNS, *_OF_SEEDS, "selected_on")


@dataclass(frozen=True)
class Answers:
    """What one model gets on the validation splits.

    Attributes:
        score: of the first split.
        accuracy: share of its rows that are exactly right (of questions, exact match), None for a regression.
        threshold: margin over which a question has no answer, as the model was published with it.
        rows_NK, collapsed: of the first split, see `Scored`.
    """

    scores: dict[str, dict[str, float | None]]
    score: float | None
    accuracy: float | None
    threshold: float | None = None
    rows_NK: Any = None
    collapsed: bool = False


def run(params: Params, rung: str | None = None) -> None:
    """Score all models, write metrics/. Raises IntegrityError when a folder is not what its manifest says."""
    from pipeline.evaluation.claims import claims

    splits = _read_splits(params.task)
    read = _rows_read(params.task, splits)
    scored = {name: _evaluate(params, name, splits) for name in (TEACHER, *params.deliver)}
    models = {name: entry for name, (entry, _) in scored.items()}
    rows = {name: rows_NK for name, (_, rows_NK) in scored.items()}
    _compare_with_teacher(models)
    for name, found in over_seeds({params.seed: models, **other_seeds(params)}).items():
        models[name]["seeds"] = found
    for name, words in _unusual(params).items():
        models[name]["unusual"] = words
    results = {
        KEY: FORMAT,
        **_setting(params, splits, models),
        "rows_read": read,
        "models": models,
        "claims": claims(params.claims, models, _without_each(params, rows)),
    }
    files.write_json(RESULTS, results)
    files.write_text(TABLE, table_csv(models))
    files.write_text(CURVES, curves_csv(params.deliver))


def other_seeds(params: Params) -> dict[int, dict[str, Any]]:
    """Models of every seed but the graph's own, as `repeat` left them, in the shape of results.json's.

    Raises:
        IntegrityError: a seed's are not there or of another task.
        OtherFormatError: another version wrote them.
    """
    return {seed: _models_of(params, seed) for seed in params.seeds if seed != params.seed}


def folder_of(name: str) -> Path:
    """Where the evaluated file is: packed for a rung, as trained for the teacher."""
    return paths.model_dir(TEACHER) if name == TEACHER else paths.packed_dir(name)


def table_csv(models: Mapping[str, Mapping[str, Any]]) -> str:
    """A row per model: one seed's score and gap, then over how many seeds which mean; undefined is empty."""
    rows = [
        [name, *(_cell(value) for value in (*_own(model), *_over_seeds(model), model["selected_on"]))]
        for name, model in models.items()
    ]
    return files.csv_text(list(_HEADINGS), rows)


def curves_csv(rungs: Sequence[str]) -> str:
    """Every rung's curve: step, loss, and the score on the selection split where it was measured."""
    rows = []
    for rung in rungs:
        with (paths.model_dir(rung) / paths.CURVE).open(newline="", encoding="utf-8") as file:
            rows += [[rung, row["step"], row["loss"], row["score"]] for row in csv.DictReader(file)]
    return files.csv_text(["rung", "step", "loss", "score"], rows)


def most_frequent(frame: Any, task: Task) -> tuple[float | None, float | None]:
    """(share right, score) of always saying the same: the most frequent label, or that there is no answer."""
    if task.kind == "classification":
        labels = frame["label"].tolist()
        return majority(labels), majority_score(labels, task)
    if task.answering is not None and task.answering.unanswerable:
        share = float((frame["answer_texts"].map(len) == 0).mean())
        return share, share
    return None, None


def majority(labels: Sequence[int]) -> float:
    """The share of the most frequent label: what a model that ignores its input gets."""
    return max(labels.count(label) for label in set(labels)) / len(labels)


def majority_score(labels: Sequence[int], task: Task) -> float | None:
    """The task's score of always answering the most frequent label; None where that is undefined."""
    import numpy as np

    from pipeline.evaluation import metrics

    if task.kind == "regression":
        return None
    answer = max(sorted(set(labels)), key=labels.count)
    return metrics.mean_score(
        metrics.compute(list(task.metrics), np.full(len(labels), answer), np.array(labels))
    )


def ladder_to(name: str) -> list[Record]:
    """Records from the teacher down to a delivered rung, its own last; for the teacher its own alone.

    Its ancestors' are those of training: what an earlier ladder packed under their names may lie there still.
    """
    ladder = [record.read(folder_of(name))]
    while ladder[0].name != TEACHER and ladder[0].parent is not None:
        ladder.insert(0, record.read(paths.model_dir(ladder[0].parent)))
    return ladder


def _own(model: Mapping[str, Any]) -> list[Any]:
    return [model[column] for column in _COLUMNS]


def _over_seeds(model: Mapping[str, Any]) -> list[Any]:
    """Of a model that not every seed has, its one score."""
    alone = {"mean": model["score"], "std": None, "num_seeds": 1}
    return [(model.get("seeds") or alone)[column] for column in _OF_SEEDS]


def _unusual(params: Params) -> dict[str, list[str]]:
    """What tables say of each model beside its bits."""
    return {TEACHER: [], **{name: unusual(params.rungs[name]) for name in params.deliver}}


def _models_of(params: Params, seed: int) -> dict[str, Any]:
    path = paths.seed_results(seed)
    found = files.read_json(path) if path.is_file() else {}
    if found.get("task") != params.task.name:
        what = f"of task {found['task']!r}" if "task" in found else "not there"
        raise files.IntegrityError(f"{path}: {what}; `dvc repro repeat@{seed}` makes it")
    check(found, path, f"repeat@{seed}")
    models: dict[str, Any] = found["models"]
    return models


def _read_splits(task: Task) -> dict[str, Any]:
    from pipeline.data.tables import read_split

    plain = paths.data_dir(task.name, "plain")
    files.verify(plain)
    return {name: read_split(plain, name) for name in task.validation_splits}


def _rows_read(task: Task, splits: Mapping[str, Any]) -> dict[str, int]:
    """How many rows each validation split had before data.max_validation_rows drew from it."""
    summary = files.read_json(paths.data_dir(task.name, "plain") / "summary.json")
    read: dict[str, int] = summary.get("validation_rows_read", {})
    return {name: len(frame) for name, frame in splits.items()} | read


def _evaluate(params: Params, name: str, splits: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The model's entry in results.json, and `Answers.rows_NK`."""
    digests = files.verify(folder_of(name))
    ladder, answers = ladder_to(name), _score(params.task, name, splits)
    own = ladder[-1]
    size_bytes = (folder_of(name) / WEIGHTS).stat().st_size
    say(f"evaluate {name}: score {'undefined' if answers.score is None else f'{answers.score:.4f}'}")
    entry = {
        "stage": own.stage,
        "parent": own.parent,
        "weight_bits": own.precision.weights,
        "embedding_bits": own.precision.embeddings,
        "activation_bits": own.precision.activations,
        "score": answers.score,
        "scores": answers.scores,
        "accuracy": answers.accuracy,
        "collapsed": answers.collapsed,
        "no_answer_threshold": answers.threshold,
        "num_examples": len(splits[params.task.validation_splits[0]]),
        "bytes": size_bytes,
        "mib": size_bytes / 2**20,
        "digest": digests[WEIGHTS],
        "label_agreement": None if name == TEACHER else _label_agreement(params, name),
        "seed": own.seed,
        "selected_on": own.selected_on,
        "steps": own.steps,
        "total_steps": sum(above.steps for above in ladder if above.name != TEACHER),
        "augmented_steps": sum(above.steps for above in ladder if above.data.get("kind") == "augmented"),
        "ancestors": [str(above.parent) for above in ladder],
    }
    return entry, answers.rows_NK


def _label_agreement(params: Params, name: str) -> dict[str, float | None]:
    """Share of rows with the trained rung's label, as `pack` found it: of the file, and of the kernels."""
    found = agreement.read(paths.packed_dir(name)).splits[params.task.validation_splits[0]]
    kernels = found.by_kernels
    return {"file": found.label_agreement, "kernels": kernels.label_agreement if kernels else None}


def _score(task: Task, name: str, splits: Mapping[str, Any]) -> Answers:
    from bitladder.modeling.bert import ANSWERING_KEY
    from bitladder.modeling.checkpoint import load_bert
    from bitladder.transformers_model.model import load
    from pipeline.evaluation import task as tasks
    from pipeline.training.device import device

    model: Any = load_bert(folder_of(name)) if name == TEACHER else load(folder_of(name))
    model.to(device())
    threshold = (getattr(model.config, ANSWERING_KEY, None) or {}).get("no_answer_threshold")
    found = {
        split: tasks.score(model, tasks.read(frame, task, folder_of(name)), task, threshold=threshold)
        for split, frame in splits.items()
    }
    first = found[task.validation_splits[0]]
    scores = {split: scored.scores for split, scored in found.items()}
    return Answers(scores, first.score, first.right, threshold, first.rows_NK, first.collapsed)


def _without_each(params: Params, rows: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of the rungs that a claim is about, each measure without each example in turn. `rows`: rows_NK."""
    from pipeline.evaluation import claims, left_out

    wanted = {name: rows[name] for name in claims.named(params.claims) if rows.get(name) is not None}
    return {
        name: {
            measure: left_out.scores_without_each(rows_NK, score)
            for measure, score in _measures(params.task).items()
        }
        for name, rows_NK in wanted.items()
    }


def _measures(task: Task) -> dict[str, Any]:
    """How each measure comes from `rows_NK`."""
    from pipeline.evaluation import claims, left_out

    if task.kind == "question_answering":
        return {claims.SCORE: left_out.of_marks}
    score = {claims.SCORE: left_out.of_predictions(task.metrics)}
    right = {claims.ACCURACY: left_out.of_predictions(["accuracy"])}
    return score | right if task.kind == "classification" else score


def _compare_with_teacher(models: dict[str, dict[str, Any]]) -> None:
    teacher = models[TEACHER]
    for model in models.values():
        defined = model["score"] is not None and teacher["score"] is not None
        model["gap"] = model["score"] - teacher["score"] if defined else None
        model["ratio"] = teacher["bytes"] / model["bytes"]


def _setting(params: Params, splits: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    """What was scored, on what, and what was not looked at before."""
    task = params.task
    majorities = {name: most_frequent(frame, task) for name, frame in splits.items()}
    return {
        "task": task.name,
        "kind": task.kind,
        "metrics": list(task.metrics),
        "split": task.validation_splits[0],
        "rows": {name: len(frame) for name, frame in splits.items()},
        "majority": {name: share for name, (share, _) in majorities.items()},
        "majority_score": majorities[task.validation_splits[0]][1],
        "num_seeds": len(params.seeds),
        "checkpoint_selected_on": ", ".join(sorted({str(model["selected_on"]) for model in models.values()})),
    }


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else value
