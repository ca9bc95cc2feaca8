"""What a person's file holds of tasks whose labels are more than a class or a number a row.

Several labels: a list, or one text with `|`, `;` or `,` between the names, or a column of 0 and 1 for each
label. Questions: SQuAD's JSON, its `answers`, or the answer's text, whose place is looked up where
`answer_start` does not say it. Words and tags, and spans, are lists. What the lists have to hold is checked
by the kind itself.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bitladder.text.entities import BEGINS, INSIDE, OUTSIDE
from pipeline.data.own.labels import is_missing
from pipeline.data.own.reading import Rows, shown
from pipeline.kinds.columns import ID, LABEL, TITLE
from pipeline.kinds.question_checks import ANSWERS
from pipeline.params import Files, KindName, Task
from pipeline.problems.problem import did_you_mean

START = "answer_start"  # beside the column of an answer's text
_BETWEEN = re.compile(r"[|;,]")
Made = tuple[dict[str, list[Any]], list[str]]  # columns as the kind reads them; what is wrong


def label_columns(files: Files, task: Task) -> list[str]:
    """The columns that hold labels."""
    if files.label is not None:
        return [files.label]
    return list(task.label_names) if task.kind == "multi_label" else []


def label_names(rows: Rows, column: str, kind: KindName) -> list[str]:
    """The labels that a column names, sorted; of words with tags O, then each type's beginning and inside."""
    values = rows.columns.get(column, [])
    if kind == "multi_label":
        return sorted({name for value in values for name in names_in(value)})
    if kind != "token_classification":
        return []
    held = [one for value in values if isinstance(value, list) for one in value]
    types = {str(one.get("label")) for one in held if isinstance(one, dict)}
    types |= {one[len(BEGINS) :] for one in held if isinstance(one, str) and one.startswith((BEGINS, INSIDE))}
    return [OUTSIDE, *(f"{place}{name}" for name in sorted(types) for place in (BEGINS, INSIDE))]


def made(rows: Rows, task: Task, files: Files) -> Made:
    """The columns beside the texts."""
    if task.kind == "multi_label":
        return _several(rows, task, files)
    assert files.label is not None
    if task.kind == "question_answering":
        return _questions(rows, files)
    return {LABEL: rows.columns[files.label]}, []


def _several(rows: Rows, task: Task, files: Files) -> Made:
    if files.label is None:
        columns = {name: [_binary(value) for value in rows.columns[name]] for name in task.label_names}
        problems = [one for name in columns for one in _not_binary(rows, name, columns[name])]
        return columns, problems
    known = {name: name for name in task.label_names} | {str(at): n for at, n in enumerate(task.label_names)}
    values = [names_in(value) for value in rows.columns[files.label]]
    wrong: dict[str, list[int]] = {}
    for row, names in enumerate(values):
        for name in names:
            if name not in known:
                wrong.setdefault(name, []).append(row)
    problems = [
        f"{rows.where(at)}: column {files.label!r} holds {shown(name)}, which is none of the labels; "
        f"{did_you_mean(name, task.label_names)}expected {', '.join(task.label_names)} (task.label_names)"
        for name, at in wrong.items()
    ]
    return {LABEL: [[known.get(name, name) for name in names] for names in values]}, problems


def names_in(value: object) -> list[str]:
    """The labels that a value of several labels names."""
    if isinstance(value, list):
        return [str(one).strip() for one in value]
    names = [] if is_missing(value) else [one.strip() for one in _BETWEEN.split(str(value))]
    return [name for name in names if name]


def _binary(value: object) -> object:
    """0 or 1, however it is written; else as it is."""
    text = str(value).strip().lower()
    return {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}.get(text, value)


def _not_binary(rows: Rows, name: str, values: Sequence[object]) -> Iterator[str]:
    if at := [row for row, value in enumerate(values) if value not in (0, 1)]:
        yield f"{rows.where(at)}: column {name!r} holds {shown(values[at[0]])}; expected 0 or 1"


def _questions(rows: Rows, files: Files) -> Made:
    """`id` and `title` are made up where there are none: a context is then an article of its own."""
    assert files.label is not None
    assert files.text_pair is not None
    contexts, numbers = rows.columns[files.text_pair], range(len(rows))
    starts = rows.columns.get(START, [None] * len(rows))
    answers = list(map(_answers, rows.columns[files.label], contexts, starts))
    lost = [row for row, own in enumerate(answers) if own is None]
    problems = []
    if lost:
        held = f"column {files.label!r} holds {shown(rows.columns[files.label][lost[0]])}"
        problems = [
            f"{rows.where(lost)}: {held}, which stands nowhere in its context, or more than once; expected a "
            f"piece of it, and a column {START!r} with the number of its first character"
        ]
    return {
        ID: list(map(str, rows.columns.get(ID, numbers))),
        TITLE: list(rows.columns.get(TITLE, contexts)),
        ANSWERS: [{"text": [], START: []} if own is None else own for own in answers],
    }, problems


def _answers(value: object, context: object, start: object) -> dict[str, list[Any]] | None:
    """As SQuAD's columns have them; None where the answer's place is not known."""
    if isinstance(value, list):  # as SQuAD's JSON has them
        value = {name: [one.get(name) for one in value] for name in ("text", START)}
    if isinstance(value, dict):
        return {name: list(value.get(name) or []) for name in ("text", START)}
    if is_missing(value):
        return {"text": [], START: []}
    text = str(value)
    if not is_missing(start) and str(start).strip().isdecimal():
        return {"text": [text], START: [int(str(start))]}
    is_clear = isinstance(context, str) and context.count(text) == 1
    return {"text": [text], START: [str(context).index(text)]} if is_clear else None
