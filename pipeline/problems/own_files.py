"""Problems of `data.files`: a person's own files, and columns of them that the task does not fit."""

from collections.abc import Iterator

from pipeline.params import NO_FILE, Data, Files, Task
from pipeline.problems.problem import Problem, listed
from pipeline.problems.task import repeated


def files_problems(data: Data, task: Task) -> Iterator[Problem]:
    """Every contradiction between `data.files` and the task."""
    files = data.files
    if data.source != "files":
        if files.by_split:
            file = next(iter(files.by_split.values()))
            yield Problem("data.files", f"{file} is only for data.source: files, and it is {data.source}")
        return
    if files.train == NO_FILE:
        yield Problem(
            "data.files.train", "missing; data.source: files needs a CSV, TSV, JSON lines or Parquet file"
        )
    for split, file in files.by_split.items():
        if file.startswith("~"):
            yield Problem(
                f"data.files.{split}", f"{file!r}: DVC watches it and does not know ~; write it out"
            )
    yield from _columns(files, task)
    wanted = ["validation", *(["test"] if files.test != NO_FILE else [])]
    if task.validation_splits != wanted:
        sentence = f"{listed(task.validation_splits)}; of these files they are {listed(wanted)}"
        yield Problem("task.validation_splits", sentence)


def _columns(files: Files, task: Task) -> Iterator[Problem]:
    names = {name: getattr(files, name) for name in ("text", "text_pair", "label", "group")}
    for name in ("text", "label"):
        if names[name] is None and (name, task.kind) != ("label", "multi_label"):  # columns of 0 and 1
            yield Problem(f"data.files.{name}", "missing; name the column")
    if twice := repeated([name for name in names.values() if name is not None]):
        yield Problem("data.files", f"column {listed(map(repr, twice))} has two meanings; it can have one")
    given = [name for name in ("text", "text_pair") if names[name] is not None]
    if len(given) != len(task.sentence_columns):
        sentence = f"{listed(task.sentence_columns)}; the files have {listed(given)}: write [{listed(given)}]"
        yield Problem("task.sentence_columns", sentence)
