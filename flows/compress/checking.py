"""Everything that can be wrong with what `bitladder compress` was asked, before any work."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.compress import asked as own
from flows.compress import plain_text, work
from flows.compress.asked import Asked
from flows.compress.lengths import Lengths
from flows.compress.work import Work
from pipeline import kinds, params_file
from pipeline.data import tokenizer_files
from pipeline.data.own import labels, loading
from pipeline.data.own.loading import Loaded
from pipeline.data.own.reading import OwnDataError, Rows
from pipeline.data.own.splitting import hold_out_groups_by_class
from pipeline.kinds.checks import DataError
from pipeline.params import Data, Task
from pipeline.problems import model_folder
from pipeline.problems.own_files import files_problems
from pipeline.progress import say


def check(asked: Asked) -> Work:
    """Read the files, choose what was left open, say what was found.

    Raises:
        OwnDataError, BaseError, ParamsError: with everything that is wrong.
    """
    values = own.choices(asked)
    if asked.kind == "embeddings":
        return plain_text.check(asked, values)
    task, data = Task.model_validate(values["task"]), Data.model_validate(values["data"])
    if problems := [str(problem) for problem in files_problems(data, task)]:
        raise params_file.ParamsError(problems, "bitladder compress")
    found = loading.read(asked.files)
    base = work.base_of(values)
    _require_base(asked, base)
    names = _label_names(asked, found, base)
    values = own.fill_in(
        values, label_names=names, num_rows=max(1, len(found["train"])), max_length=asked.max_length
    )
    if asked.kind in ("regression", "reranking") and asked.label is not None:
        values["task"]["range"] = labels.range_of(found, asked.label)
    task = Task.model_validate(values["task"])
    loaded = loading.made(found, task, asked.files, values["seed"])
    _require_selection(asked, loaded, task, values["seed"])
    shape = work.shape(values, base)
    at_most = min(asked.max_length, shape.max_position_embeddings)
    told = work.measured(list(loaded.frames.values()), task.sentence_columns, base, at_most)
    values["task"]["max_length"] = at_most if task.answering else told.most
    if task.answering:
        values["task"]["answering"] = own.answering(at_most)
    own.params_of(values)
    _say_what_was_found(asked, loaded, names, task, told)
    return Work(values, shape, told, _rows(loaded, values))


def _require_selection(asked: Asked, loaded: Loaded, task: Task, seed: int) -> None:
    """Raises OwnDataError unless rows can be held out to choose checkpoints on, as `prepare` will."""
    how = {"stratify": kinds.of(task).stratified, "keep": 1, "setting": asked.file.name}
    try:
        hold_out_groups_by_class(loaded.frames["train"], fraction=task.selection_fraction, seed=seed, **how)  # type: ignore[arg-type]
    except DataError as error:
        raise OwnDataError([f"{one}, to choose checkpoints on" for one in error.problems]) from None


def _require_base(asked: Asked, base: Path) -> None:
    """Raises BaseError unless the parts of a person's model folder fit each other."""
    field = "--teacher" if asked.teacher else "--base"
    found = list(model_folder.problems(base, None, field=field))
    if not found:
        with work.tokenizer(base) as folder:
            size = int(model_folder.read_config(base)["vocab_size"])
            found = [f"{field}: {base}: {one}" for one in tokenizer_files.problems(folder, vocab_size=size)]
    if found:
        raise own.BaseError("\n".join(found))


def _label_names(asked: Asked, found: Mapping[str, Rows], base: Path) -> list[str]:
    """Those of the files; a given teacher's, where the files have numbers or some of its names alone."""
    names = loading.label_names(found, asked.files, asked.kind)
    if asked.teacher is None or not names:
        return names
    given = model_folder.label_names(model_folder.read_config(base))
    places = {str(number) for number in range(len(given))}
    if not {*names} <= places and model_folder.say_nothing(given) and len(names) == len(given):
        told = ", ".join(f"{name} is {label}" for name, label in zip(given, names, strict=True))
        say(f"compress: --teacher names no labels: {told}, as they are sorted; name them in its config.json")
    return given if {*names} <= places or {*names} < {*given} else names


def _say_what_was_found(asked: Asked, loaded: Loaded, names: list[str], task: Task, told: Lengths) -> None:
    rows = ", ".join(f"{count} rows of {split}" for split, count in loaded.rows_read.items())
    if asked.validation is None:
        train, drawn = loaded.rows_read["train"], loaded.rows_read["validation"]
        rows = f"{train} rows, {drawn} of them drawn for validation"
    classes = f", {len(names)} labels ({labels.few(names)})" if names else ""
    if between := task.range:
        classes = f", labels from {between[0]:g} to {between[1]:g}"
    say(f"compress: {asked.file.name}: {rows}{classes}")
    for note in loaded.notes:
        say(f"compress: {note}")
    in_windows = asked.kind == "question_answering"
    say(f"compress: {work.cut(told, 'read in windows of as many' if in_windows else 'cut (--max-length)')}")


def _rows(loaded: Loaded, values: dict[str, Any]) -> dict[str, int]:
    train, validation = len(loaded.frames["train"]), len(loaded.frames["validation"])
    held_out = round(train * values["task"]["selection_fraction"])
    return {"train": train - held_out, "selection": held_out, "validation": validation}
