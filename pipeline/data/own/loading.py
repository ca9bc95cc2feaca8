"""The labelled splits of a task in a person's own files, checked; what is odd but allowed is told only.

Columns become those of every other task: the texts under `task.sentence_columns`, `label` as the number of
a class (or a score), `idx` the row in its file from 0. Train has a column `group` too, by which more rows are
held out of it later.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from bitladder.shown import apart
from pipeline import kinds
from pipeline.data.own import labels, other_kinds, reading
from pipeline.data.own.reading import OwnDataError, Rows
from pipeline.data.own.splitting import GROUP, hold_out_groups_by_class, renumbered
from pipeline.data.own.texts import missing_columns, text_problems
from pipeline.data.splits import text_key
from pipeline.kinds.checks import DataError
from pipeline.kinds.columns import INDEX, LABEL
from pipeline.kinds.question_checks import ANSWERS
from pipeline.params import Files, KindName, Task

TRAIN, VALIDATION = "train", "validation"
_DRAWN_FROM = "data.files.validation_fraction"


@dataclass(frozen=True)
class Loaded:
    """Attributes:
    frames: rows of train and of each validation split.
    rows_read: of each file.
    notes: sentences about what is odd.
    """

    frames: dict[str, pd.DataFrame]
    rows_read: dict[str, int]
    notes: list[str]


def text_columns(files: Files) -> list[str]:
    """The columns that hold text, in the order of `task.sentence_columns`."""
    return [name for name in (files.text, files.text_pair) if name is not None]


def columns_of(files: Files, task: Task | None = None) -> list[str]:
    """All that are read."""
    own = other_kinds.label_columns(files, task) if task else [files.label] if files.label else []
    return [*text_columns(files), *own, *([files.group] if files.group else [])]


def read(files: Files) -> dict[str, Rows]:
    """The rows of every file, by split; what cannot be read is among each one's problems."""
    return {split: reading.read(Path(file), columns_of(files)) for split, file in files.by_split.items()}


def label_names(found: Mapping[str, Rows], files: Files, kind: KindName) -> list[str]:
    """The labels of train in their order; none where they cannot be told, which `made` says why."""
    rows = found[TRAIN]
    if files.label not in rows.columns:
        return []
    if kind != "classification":
        return other_kinds.label_names(rows, files.label, kind)
    names, problems = labels.classes(rows, files.label)
    return [] if problems else names


def load(task: Task, files: Files, seed: int) -> Loaded:
    """Read, check, and draw a validation split where no file is one.

    Raises:
        OwnDataError: with every problem of every file.
    """
    return made(read(files), task, files, seed)


def made(found: Mapping[str, Rows], task: Task, files: Files, seed: int) -> Loaded:
    """The same of rows that were read. Raises as `load` does."""
    problems: list[str] = []
    frames = {}
    places = files.label is None or labels.holds_places(found[TRAIN], files.label, task.label_names)
    for split, rows in found.items():
        frame, wrong = _frame(rows, task, files, training=split == TRAIN, places=places)
        problems += [f"{rows.source}: {problem}" for problem in wrong]
        frames[split] = frame
    if problems:
        raise OwnDataError(problems)
    rows_read = {split: len(frame) for split, frame in frames.items()}
    notes = list(_notes(found, frames, task, files))
    if VALIDATION not in frames:
        stratify = kinds.of(task).stratified
        how: dict[str, Any] = {"seed": seed, "stratify": stratify, "keep": 2, "setting": _DRAWN_FROM}
        try:
            frames[TRAIN], frames[VALIDATION] = hold_out_groups_by_class(
                frames[TRAIN], fraction=files.validation_fraction, **how
            )
        except DataError as error:
            raise OwnDataError(
                [f"{found[TRAIN].source}: {one}{_otherwise(files)}" for one in error.problems]
            ) from None
        rows_read[VALIDATION] = len(frames[VALIDATION])
    return Loaded(frames, rows_read, [*notes, *_rare(frames, task)])


def _otherwise(files: Files) -> str:
    joined = (
        f"those with the same {files.group!r}" if files.group else "those with equal texts, titles or queries"
    )
    return f" ({joined} stay together), or a file to judge by: --validation, data.files.validation"


def _frame(
    rows: Rows, task: Task, files: Files, *, training: bool, places: bool
) -> tuple[pd.DataFrame, list[str]]:
    """The rows as the task has them, and what is wrong with them."""
    wanted = columns_of(files, task)
    problems = [*rows.problems, *(missing_columns(rows, wanted) if rows.columns else ())]
    if not rows.columns or any(name not in rows.columns for name in wanted):
        return pd.DataFrame(), problems
    if not len(rows):
        return pd.DataFrame(), [*problems, *([] if rows.problems else ["no rows; expected at least one"])]
    columns = dict(zip(task.sentence_columns, text_columns(files), strict=True))
    for name in columns.values():
        are_words = task.kind == "token_classification" and any(
            isinstance(value, list) for value in rows.columns[name]
        )
        problems += text_problems(rows, name, as_words=are_words)
    own_columns, wrong = _labels(rows, task, files, training=training, places=places)
    problems += wrong
    if problems:
        return pd.DataFrame(), problems
    values = {name: rows.columns[own] for name, own in columns.items()} | own_columns
    frame = pd.DataFrame({name: _as_series(one) for name, one in values.items()})
    frame[INDEX] = range(len(rows))
    if problems := list(_of_the_kind(rows, frame, task, files, training=training)):
        return pd.DataFrame(), problems
    group = rows.columns.get(files.group) if files.group else kinds.of(task).groups(frame, task)
    own = ("" if labels.is_missing(one) else str(one) for one in group or ())
    frame[GROUP] = renumbered(own if group else _keys(frame, task))
    return frame, []


def _of_the_kind(
    rows: Rows, frame: pd.DataFrame, task: Task, files: Files, *, training: bool
) -> Iterator[str]:
    """What the kind itself finds wrong, by the names and lines of the person's own file."""
    names = dict(zip(task.sentence_columns, text_columns(files), strict=True))
    names |= dict.fromkeys((LABEL, ANSWERS), files.label or LABEL)
    try:
        kinds.of(task).read(as_table(frame), task, source=rows.source, training=training)
    except DataError as error:
        for problem in error.problems:
            own = re.sub(r"column '(\w+)'", lambda one: f"column {names.get(one[1], one[1])!r}", problem)
            own = re.sub(r"\brow (\d+)", lambda one: f"{rows.unit} {rows.places[int(one[1])]}", own, count=1)
            yield own.removeprefix(f"{rows.source}: ")


def _as_series(values: list[Any]) -> "pd.Series[Any]":
    """Lists stay lists."""
    return pd.Series(values, dtype=object if any(isinstance(one, list | dict) for one in values) else None)


def _keys(frame: pd.DataFrame, task: Task) -> list[bytes]:
    """Of each row's texts; words are a text."""
    columns = [frame[name].map(lambda one: " ".join(one) if isinstance(one, list) else one)
               for name in task.sentence_columns]  # fmt: skip
    return [text_key(row) for row in zip(*columns, strict=True)]


def _labels(
    rows: Rows, task: Task, files: Files, *, training: bool, places: bool
) -> tuple[dict[str, list[Any]], list[str]]:
    """The columns beside the texts, and what is wrong with them."""
    if task.kind not in ("classification", "regression", "reranking"):
        return other_kinds.made(rows, task, files)
    assert files.label is not None
    if task.kind != "classification":
        scores, problems = labels.scores(rows, files.label)
        outside = labels.outside(rows, files.label, scores, task.range) if task.range else ()
        same = labels.same(rows, files.label, scores) if training else ()
        return {LABEL: scores}, [*problems, *outside, *same]
    if not task.label_names:  # asked what they are, and there is no telling
        return {LABEL: []}, labels.classes(rows, files.label)[1] if training else []
    numbers, problems = labels.class_numbers(rows, files.label, task.label_names, places=training or places)
    if training:
        problems += labels.count_problems(rows, files.label, numbers, task.label_names)
    return {LABEL: numbers}, problems


def _notes(
    found: Mapping[str, Rows], frames: Mapping[str, pd.DataFrame], task: Task, files: Files
) -> Iterator[str]:
    """Texts that stand more than once, and those that two files share."""
    keys = {split: _keys(frame, task) for split, frame in frames.items()}
    for rows in found.values() if files.group else ():
        if blank := [
            row for row, one in enumerate(rows.columns[files.group or ""]) if labels.is_missing(one)
        ]:
            yield f"{rows.source}: {rows.where(blank)}: nothing in {files.group!r}; these rows stay together"
    for split, own in keys.items():
        rows, seen = found[split], dict[bytes, int]()
        again = [row for row, key in enumerate(own) if seen.setdefault(key, row) != row]
        if again:
            yield f"{rows.source}: {rows.where(again)}: text that stood there before"
        said = frames[split][LABEL] if LABEL in frames[split] else pd.Series([0] * len(own))
        other = [row for row in again if said[row] != said[seen[own[row]]]]
        if other:
            yield f"{rows.source}: {rows.where(other)}: text that stood there before, with another label"
        known = {*keys[TRAIN]} if split != TRAIN else set()
        if shared := [row for row, key in enumerate(own) if key in known]:
            yield f"{rows.source}: {rows.where(shared)}: text that train has too"


def _rare(frames: Mapping[str, pd.DataFrame], task: Task) -> Iterator[str]:
    for split, frame in frames.items() if task.kind == "classification" else ():
        absent = {*range(len(task.label_names))} - {*frame[LABEL].tolist()}
        if absent:
            names = apart(task.label_names)
            yield f"{split} has no row of {', '.join(names[task.label_names[one]] for one in sorted(absent))}"


def as_table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame.drop(columns=GROUP, errors="ignore"), preserve_index=False)
