"""The labelled splits of a task in a person's own files, checked; what is odd but allowed is told only.

Columns become those of every other task: the texts under `task.sentence_columns`, `label` as the number of
a class (or a score), `idx` the row in its file from 0. Train has a column `group` too, by which more rows are
held out of it later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline import kinds
from pipeline.data.own import labels, other_kinds, reading
from pipeline.data.own.reading import OwnDataError, Rows
from pipeline.data.own.splitting import GROUP, hold_out_groups_by_class, renumbered
from pipeline.data.own.texts import missing_columns, text_problems
from pipeline.data.splits import text_key
from pipeline.kinds.columns import INDEX, LABEL
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
    for split, rows in found.items():
        frame, wrong = _frame(rows, task, files, training=split == TRAIN)
        problems += [f"{rows.source}: {problem}" for problem in wrong]
        frames[split] = frame
    if problems:
        raise OwnDataError(problems)
    rows_read = {split: len(frame) for split, frame in frames.items()}
    notes = list(_notes(found, frames, task))
    if VALIDATION not in frames:
        stratify = kinds.of(task).stratified
        frames[TRAIN], frames[VALIDATION] = hold_out_groups_by_class(
            frames[TRAIN],
            fraction=files.validation_fraction,
            seed=seed,
            stratify=stratify,
            keep=2,
            setting=_DRAWN_FROM,
        )
        rows_read[VALIDATION] = len(frames[VALIDATION])
    return Loaded(frames, rows_read, [*notes, *_rare(frames, task)])


def _frame(rows: Rows, task: Task, files: Files, *, training: bool) -> tuple[pd.DataFrame, list[str]]:
    """The rows as the task has them, and what is wrong with them."""
    wanted = columns_of(files, task)
    problems = [*rows.problems, *(missing_columns(rows, wanted) if rows.columns else ())]
    if not rows.columns or any(name not in rows.columns for name in wanted):
        return pd.DataFrame(), problems
    if not len(rows):
        return pd.DataFrame(), [*problems, *([] if rows.problems else ["no rows; expected at least one"])]
    columns = dict(zip(task.sentence_columns, text_columns(files), strict=True))
    for name in columns.values():
        if not any(isinstance(value, list) for value in rows.columns[name]):  # of words
            problems += text_problems(rows, name)
    own_columns, wrong = _labels(rows, task, files, training=training)
    problems += wrong
    if problems:
        return pd.DataFrame(), problems
    values = {name: rows.columns[own] for name, own in columns.items()} | own_columns
    frame = pd.DataFrame({name: _as_series(one) for name, one in values.items()})
    frame[INDEX] = range(len(rows))
    group = rows.columns.get(files.group) if files.group else kinds.of(task).groups(frame, task)
    frame[GROUP] = renumbered(map(str, group) if group else _keys(frame, task))
    return frame, []


def _as_series(values: list[Any]) -> "pd.Series[Any]":
    """Lists stay lists."""
    return pd.Series(values, dtype=object if any(isinstance(one, list | dict) for one in values) else None)


def _keys(frame: pd.DataFrame, task: Task) -> list[bytes]:
    """Of each row's texts; words are a text."""
    columns = [frame[name].map(lambda one: " ".join(one) if isinstance(one, list) else one)
               for name in task.sentence_columns]  # fmt: skip
    return [text_key(row) for row in zip(*columns, strict=True)]


def _labels(
    rows: Rows, task: Task, files: Files, *, training: bool
) -> tuple[dict[str, list[Any]], list[str]]:
    """The columns beside the texts, and what is wrong with them."""
    if task.kind not in ("classification", "regression", "reranking"):
        return other_kinds.made(rows, task, files)
    assert files.label is not None
    if task.kind != "classification":
        scores, problems = labels.scores(rows, files.label)
        outside = labels.outside(rows, files.label, scores, task.range) if task.range else ()
        return {LABEL: scores}, [*problems, *outside]
    if not task.label_names:  # asked what they are, and there is no telling
        return {LABEL: []}, labels.classes(rows, files.label)[1] if training else []
    numbers, problems = labels.class_numbers(rows, files.label, task.label_names)
    if training:
        problems += labels.count_problems(rows, files.label, numbers, task.label_names)
    return {LABEL: numbers}, problems


def _notes(found: Mapping[str, Rows], frames: Mapping[str, pd.DataFrame], task: Task) -> Iterator[str]:
    """Texts that stand more than once, and those that two files share."""
    keys = {split: _keys(frame, task) for split, frame in frames.items()}
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
            yield f"{split} has no row of {', '.join(task.label_names[one] for one in sorted(absent))}"


def as_table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame.drop(columns=GROUP), preserve_index=False)
