"""Fields that are right one by one and wrong together: task, data, model, augmentation, seeds."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from pipeline import kinds
from pipeline.params import Architecture, Augmentation, Data, Model, Params, Task
from pipeline.problems.problem import Problem, listed, pinned

NAME_RULE = "a name starts with a letter and holds only a-z, 0-9 and _ (at most 64)"
QUESTION_ANSWERING = "question_answering"
EMBEDDINGS = "embeddings"
WITH_RANGE = ("regression", "reranking")
DEMO = "demo"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")  # becomes a file name, a stage name and part of a run's name
_NEVER_LEARNED = ("validation", "test", "dev")


def task_problems(params: Params) -> Iterator[Problem]:
    """Every contradiction outside the ladder."""
    task, data, model = params.task, params.data, params.model
    yield from _names(task, data)
    yield from _of_kind(task)
    yield from _source(data, task)
    yield from _of_embeddings(params)
    yield from _model(model, task)
    if model.architecture is not None:
        yield from _architecture(model.architecture, task)
    yield from _general(params)
    yield from _augmented(params)
    yield from _seeds(params)


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def repeated(entries: Sequence[object]) -> list[object]:
    """Those that stand there more than once, each once."""
    return [entry for entry, count in Counter(entries).items() if count > 1]


def _names(task: Task, data: Data) -> Iterator[Problem]:
    if not is_name(task.name):
        yield Problem("task.name", f"{task.name!r} cannot be a name; {NAME_RULE}")
    for split in task.validation_splits:
        own_test = split == "test" and data.source in ("files", "corpus")  # which has labels
        if not is_name(split) or (split in ("train", "selection", "test") and not own_test):
            sentence = f"{split!r} cannot be a validation split; expected e.g. validation"
            yield Problem("task.validation_splits", sentence)
    for field in ("sentence_columns", "label_names", "metrics", "validation_splits"):
        if twice := repeated(getattr(task, field)):
            yield Problem(f"task.{field}", f"{listed(twice)} is written twice; once is enough")
    if reserved := {"label", "idx", "origin"} & set(task.sentence_columns):
        yield Problem("task.sentence_columns", f"{listed(sorted(reserved))} holds no text; name text columns")


def _of_kind(task: Task) -> Iterator[Problem]:
    """What its kind says, and fields that only other kinds have."""
    for field, sentence in kinds.of(task).problems(task):
        yield Problem(f"task.{field}", sentence)
    if task.answering is not None and task.kind != QUESTION_ANSWERING:
        yield Problem("task.answering", f"only for kind: {QUESTION_ANSWERING}; leave it out")
    if task.range is not None and task.kind not in WITH_RANGE:
        yield Problem("task.range", f"only for kind: {listed(WITH_RANGE)}; leave it out")


def _source(data: Data, task: Task) -> Iterator[Problem]:
    if data.source == "path" and not data.root:
        where = "glue/" if kinds.of(task).is_glue else ""
        yield Problem("data.root", f"missing; data.source: path reads <root>/{where}<task>/<split>.parquet")
    if data.source not in ("path", "corpus") and data.root is not None:
        sentence = f"only for data.source: path or corpus, and it is {data.source}; leave it empty"
        yield Problem("data.root", sentence)
    yield from _corpus(data)
    if data.source == "hub":
        if not data.repository:
            yield Problem("data.repository", "missing; data.source: hub needs one, e.g. nyu-mll/glue")
        yield from pinned("data", data.revision)
    if data.source == DEMO and task.name != DEMO:
        sentence = f"demo generates the demo task only, not {task.name}; allowed: hub, path"
        yield Problem("data.source", sentence)
    if data.source != DEMO and task.name == DEMO:
        yield Problem("data.source", f"the demo task is generated, not read from {data.source}; write demo")
    if task.name == DEMO and task.generator is None:
        yield Problem("task.generator", "missing; the demo task is generated: give the numbers of rows")
    if task.name != DEMO and task.generator is not None:
        yield Problem("task.generator", f"{task.name} is not generated; leave it out")


def _of_embeddings(params: Params) -> Iterator[Problem]:
    """They have text and no rows, and are their own teacher; nothing else is."""
    data, task = params.data, params.task
    is_encoder = task.kind == EMBEDDINGS
    if is_encoder != (data.source == "corpus"):
        wanted = "corpus" if is_encoder else "path, hub or files"
        yield Problem("data.source", f"{data.source} does not fit {task.kind}; write {wanted}")
    if is_encoder and data.corpus is None:
        yield Problem("data.corpus", "missing; embeddings learn from text: name a text or Parquet file")
    if is_encoder and params.teacher.is_given:
        sentence = "the teacher of embeddings is the model itself; write model.source: path, model.location"
        yield Problem("teacher.source", sentence)
    for name, rung in params.rungs.items() if is_encoder else ():
        if rung.width != 1:
            sentence = (
                f"{rung.width:g}, but which heads matter is found by labels, and {EMBEDDINGS} have none"
            )
            yield Problem(f"{rung.stage}.{name}.width", sentence)
    if task.judged_by is not None and not is_encoder:
        yield Problem("task.judged_by", f"only for kind: {EMBEDDINGS}; leave it out")


def _corpus(data: Data) -> Iterator[Problem]:
    for number, one in enumerate(data.corpus or ()):
        if PurePath(one.file).stem.startswith(_NEVER_LEARNED):
            yield Problem(
                f"data.corpus[{number}].file",
                f"{one.file} is a split that models are judged by; name text to learn from, as train",
            )


def _general(params: Params) -> Iterator[Problem]:
    if params.general and params.data.corpus is None and params.data.source != DEMO:
        name = next(iter(params.general))
        yield Problem(
            "data.corpus",
            f"missing; general.{name} learns from text: name a text or Parquet file, or several",
        )


def _model(model: Model, task: Task) -> Iterator[Problem]:
    source = model.source
    if source == DEMO:
        if model.architecture is None:
            yield Problem("model.architecture", "missing; the demo model is built here and needs its shape")
        if task.name != DEMO:
            yield Problem(
                "model.source",
                f"the demo model knows only words of the demo's own corpus, not {task.name}'s; choose "
                "package, path or hub (-S model=minilm, -S model=bert-base)",
            )
        return
    if source == "teacher":
        if model.location:
            yield Problem("model.location", "only where model.source is not teacher; write teacher.location")
        return
    if not model.location:
        what = {"package": "an importable package", "path": "a folder", "hub": "a repository"}[source]
        yield Problem("model.location", f"missing; model.source: {source} needs {what}")
    if source == "hub":
        yield from pinned("model", model.revision)
    if model.architecture is not None:
        yield Problem("model.architecture", f"model.source: {source} brings its own shape; leave it empty")


def _architecture(shape: Architecture, task: Task) -> Iterator[Problem]:
    if shape.hidden_size % shape.num_attention_heads:
        sentence = f"{shape.hidden_size} is not divisible by {shape.num_attention_heads} attention heads"
        yield Problem("model.architecture.hidden_size", sentence)
    positions = shape.max_position_embeddings
    if task.name == DEMO and task.max_length > positions:
        yield Problem("task.max_length", f"{task.max_length} tokens, but the model has {positions} positions")


def _augmented(params: Params) -> Iterator[Problem]:
    methods = [name for name in Augmentation.model_fields if name not in ("word_fraction", "max_rows")]
    if any(getattr(params.augmentation, method) for method in methods):
        return
    for name, rung in params.rungs.items():
        if rung.data == "augmented":
            sentence = f"augmentation makes 0 rows by every method; raise one of {listed(methods)}"
            yield Problem(f"{rung.stage}.{name}.data", f"augmented, but {sentence}")


def _seeds(params: Params) -> Iterator[Problem]:
    if twice := repeated(params.seeds):
        yield Problem("seeds", f"{listed(twice)} is written twice; the same training again tells nothing new")
    if params.seed not in params.seeds:
        sentence = f"{listed(params.seeds)} lack seed {params.seed}, that of models/ and packed/; add it"
        yield Problem("seeds", sentence)
