"""Fields that are right one by one and wrong together: task, data, model, augmentation."""

import re
from collections.abc import Callable, Iterator

from pipeline.problems.problem import Problem, listed
from pipeline.problems.values import Values

NAME = re.compile(r"[a-z][a-z0-9_]*")  # becomes a file name, a stage name and part of a run's name
LONGEST_NAME = 64
NAME_RULE = f"a name starts with a letter and holds only a-z, 0-9 and _ (at most {LONGEST_NAME})"

QUESTION_ANSWERING = "question_answering"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_METRICS = {
    "classification": ("accuracy", "f1", "matthews_correlation"),
    "regression": ("pearson", "spearman"),
    QUESTION_ANSWERING: ("exact_match", "f1"),
}
_TWO_LABELS = ("f1", "matthews_correlation")
_METHODS = ("contextual", "embedding", "swap", "delete", "spelling")


def contradictions(values: Values) -> Iterator[Problem]:
    """Every contradiction outside the ladder; what cannot be read is left to the field's own problem."""
    for check in _CHECKS:
        yield from check(values)


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None and len(text) <= LONGEST_NAME


def _task_names(values: Values) -> Iterator[Problem]:
    name = values.text("task", "name")
    if name is not None and not is_name(name):
        yield Problem("task.name", f"{name!r} is no name; {NAME_RULE}")
    for split in values.texts("task", "validation_splits"):
        if not is_name(split) or split in ("train", "selection", "test"):
            yield Problem(
                "task.validation_splits", f"{split!r} cannot be a validation split; expected e.g. validation"
            )


def _task_lists(values: Values) -> Iterator[Problem]:
    for field in ("sentence_columns", "label_names", "metrics", "validation_splits"):
        entries = values.texts("task", field)
        repeated = sorted({entry for entry in entries if entries.count(entry) > 1})
        if repeated:
            yield Problem(f"task.{field}", f"{listed(repeated)} is written twice; each may stand once")
    reserved = {"label", "idx", "origin"} & set(values.texts("task", "sentence_columns"))
    if reserved:
        yield Problem("task.sentence_columns", f"{listed(sorted(reserved))} is no text column; expected text")


def _labels(values: Values) -> Iterator[Problem]:
    kind, labels = values.text("task", "kind"), values.texts("task", "label_names")
    if kind == "classification" and len(labels) < 2:
        yield Problem("task.label_names", f"classification needs at least 2 labels, got {len(labels)}")
    if kind in ("regression", QUESTION_ANSWERING) and labels:
        yield Problem("task.label_names", f"{kind} has no labels, got {listed(labels)}; write []")


def _metrics(values: Values) -> Iterator[Problem]:
    kind, labels = values.text("task", "kind"), values.texts("task", "label_names")
    allowed = _METRICS.get(kind or "", ())
    for metric in values.texts("task", "metrics"):
        if kind in _METRICS and metric in sum(_METRICS.values(), ()) and metric not in allowed:
            yield Problem("task.metrics", f"{metric} does not fit {kind}; allowed: {listed(allowed)}")
        elif metric in _TWO_LABELS and len(labels) > 2:
            yield Problem(
                "task.metrics", f"{metric} is defined here for 2 labels, the task has {len(labels)}"
            )


def _answering(values: Values) -> Iterator[Problem]:
    if values.text("task", "kind") != QUESTION_ANSWERING:
        if values.written("task", "answering"):
            yield Problem("task.answering", f"used by kind: {QUESTION_ANSWERING} only; leave it out")
        return
    if not values.written("task", "answering"):
        yield Problem("task.answering", f"missing; kind: {QUESTION_ANSWERING} needs its lengths in tokens")
    columns, metrics = values.texts("task", "sentence_columns"), values.texts("task", "metrics")
    if columns != ["question", "context"]:
        yield Problem(
            "task.sentence_columns", f"{listed(columns)}; {QUESTION_ANSWERING} has question, context"
        )
    if set(metrics) < set(_METRICS[QUESTION_ANSWERING]):
        yield Problem(
            "task.metrics", f"{listed(metrics)}; {QUESTION_ANSWERING} is scored by exact_match and f1"
        )
    yield from _windows(values)


def _windows(values: Values) -> Iterator[Problem]:
    length = values.whole("task", "max_length")
    question = values.whole("task", "answering", "max_question_length")
    shared = values.whole("task", "answering", "doc_stride")
    if length and question and shared and question + 3 + shared >= length:
        yield Problem(
            "task.max_length",
            f"{length} tokens hold no window: a question may take {question}, special tokens 3, and {shared} "
            "(doc_stride) are shared with the window before",
        )


def _source(values: Values) -> Iterator[Problem]:
    source = values.text("data", "source")
    if source == "path" and not values.text("data", "root"):
        where = "" if values.text("task", "kind") == QUESTION_ANSWERING else "glue/"
        yield Problem("data.root", f"missing; data.source: path reads <root>/{where}<task>/<split>.parquet")
    if source in ("hub", "demo") and values.written("data", "root"):
        yield Problem(
            "data.root", f"used by data.source: path only, and the source is {source}; leave it empty"
        )
    if source == "hub":
        if not values.text("data", "repository"):
            yield Problem("data.repository", "missing; data.source: hub needs one, e.g. nyu-mll/glue")
        yield from _pinned(values, "data", "data.source: hub")


def _demo_task(values: Values) -> Iterator[Problem]:
    task, source = values.text("task", "name"), values.text("data", "source")
    if source == "demo" and task not in ("demo", None):
        yield Problem("data.source", f"demo generates the demo task only, not {task}; allowed: hub, path")
    if task == "demo" and source in ("hub", "path"):
        yield Problem("data.source", f"the demo task is generated, not read from {source}; expected demo")
    if task == "demo" and not values.written("task", "generator"):
        yield Problem("task.generator", "missing; the demo task is generated: give the numbers of rows")
    if task not in ("demo", None) and values.written("task", "generator"):
        yield Problem("task.generator", f"{task} is not generated; leave it out")


def _model(values: Values) -> Iterator[Problem]:
    source = values.text("model", "source")
    if source in ("package", "path", "hub") and not values.text("model", "location"):
        what = {"package": "an importable package", "path": "a folder", "hub": "a repository"}[source]
        yield Problem("model.location", f"missing; model.source: {source} needs {what}")
    if source == "hub":
        yield from _pinned(values, "model", "model.source: hub")
    if source in ("package", "path", "hub") and values.written("model", "architecture"):
        yield Problem(
            "model.architecture", f"comes with the model when the source is {source}; leave it empty"
        )
    if source == "demo" and not values.written("model", "architecture"):
        yield Problem("model.architecture", "missing; the demo model is built here and needs its shape")
    task = values.text("task", "name")
    if source == "demo" and task not in ("demo", None):
        yield Problem(
            "model.source",
            f"demo is pre-trained on the demo's own corpus and knows no word of {task}; choose package, path "
            "or hub (-S model=minilm, -S model=bert-base)",
        )


def _pinned(values: Values, section: str, setting: str) -> Iterator[Problem]:
    revision = values.text(section, "revision")
    if not values.written(section, "revision"):
        yield Problem(f"{section}.revision", f"missing; {setting} needs a commit (40 hex digits)")
    elif revision is not None and not _COMMIT.fullmatch(revision):
        yield Problem(
            f"{section}.revision",
            f"{revision!r} can move; expected a commit (40 hex digits), which cannot",
        )


def _architecture(values: Values) -> Iterator[Problem]:
    hidden = values.whole("model", "architecture", "hidden_size")
    heads = values.whole("model", "architecture", "num_attention_heads")
    if hidden and heads and heads > 0 and hidden % heads:
        yield Problem(
            "model.architecture.hidden_size", f"{hidden} is not divisible by {heads} attention heads"
        )
    positions = values.whole("model", "architecture", "max_position_embeddings")
    length = values.whole("task", "max_length")
    if values.text("task", "name") == "demo" and positions and length and length > positions:
        yield Problem("task.max_length", f"{length} tokens, but the model has {positions} positions")


def _augmented(values: Values) -> Iterator[Problem]:
    counts = [values.whole("augmentation", method) for method in _METHODS]
    users = [rung for rung in _rungs(values) if values.text(*rung, "data") == "augmented"]
    if users and all(count == 0 for count in counts):
        for rung in users:
            yield Problem(
                ".".join((*rung, "data")),
                f"augmented, but augmentation has 0 rows for every method; raise one of {listed(_METHODS)}",
            )


def _rungs(values: Values) -> list[tuple[str, str]]:
    sections = ("weights", "weights_activations")
    return [(section, name) for section in sections for name in values.names(section)]


_CHECKS: tuple[Callable[[Values], Iterator[Problem]], ...] = (
    _task_names,
    _task_lists,
    _labels,
    _metrics,
    _answering,
    _source,
    _demo_task,
    _model,
    _architecture,
    _augmented,
)
