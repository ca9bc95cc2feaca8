"""What a person's file holds of tasks whose labels are more than a class or a number a row.

What a list holds of another type than it may is told here; what it has to say is checked by the kind.

Several labels: a list, or one text with `|`, `;` or `,` between the names, or a column of 0 and 1 for each
label. Questions: SQuAD's JSON, its `answers`, or the answer's text, whose place is looked up where
`answer_start` does not say it. Words and tags, and spans, are lists.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from bitladder.text.entities import BEGINS, INSIDE, OUTSIDE
from pipeline.data.own.labels import few, is_missing, is_unicode, number
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
    types = {one["label"] for one in held if _is_span(one)}
    types |= {one[len(BEGINS) :] for one in held if isinstance(one, str) and one.startswith((BEGINS, INSIDE))}
    return [OUTSIDE, *(f"{place}{name}" for name in sorted(types) for place in (BEGINS, INSIDE))]


def made(rows: Rows, task: Task, files: Files) -> Made:
    """The columns beside the texts."""
    if task.kind == "multi_label":
        return _several(rows, task, files)
    assert files.label is not None
    if task.kind == "question_answering":
        return _questions(rows, files)
    return _tagged(rows, files)


def _several(rows: Rows, task: Task, files: Files) -> Made:
    if files.label is None:
        columns = {name: [_binary(value) for value in rows.columns[name]] for name in task.label_names}
        problems = [one for name in columns for one in _not_binary(rows, name, columns[name])]
        return columns, problems
    column = rows.columns[files.label]
    if odd := [row for row, value in enumerate(column) if _is_odd(value)]:
        held = f"{rows.where(odd)}: column {files.label!r} holds {shown(column[odd[0]])}"
        wanted = "names with | between them, or in JSON lines and Parquet lists of names"
        return {LABEL: []}, [f"{held}; expected {wanted}"]
    known = {name: name for name in task.label_names} | {str(at): n for at, n in enumerate(task.label_names)}
    values = [names_in(value) for value in rows.columns[files.label]]
    wrong: dict[str, list[int]] = {}
    for row, names in enumerate(values):
        for name in names:
            if name not in known:
                wrong.setdefault(name, []).append(row)
    problems = [
        f"{rows.where(at)}: column {files.label!r} holds {shown(name)}, which is none of the labels; "
        f"{did_you_mean(name, task.label_names)}expected {few(task.label_names)} (task.label_names)"
        for name, at in wrong.items()
    ]
    return {LABEL: [[known.get(name, name) for name in names] for names in values]}, problems


def names_in(value: object) -> list[str]:
    """The labels that a value of several labels names."""
    if _is_odd(value):
        return []
    if isinstance(value, list):
        return [str(one).strip() for one in value]
    names = [] if is_missing(value) else [one.strip() for one in _BETWEEN.split(str(value))]
    return [name for name in names if name]


def _is_odd(value: object) -> bool:
    """Neither labels nor a list of them: a list within a list, or one that was written as text."""
    if isinstance(value, list):
        return not all(isinstance(one, str | int) and is_unicode(str(one)) for one in value)
    if isinstance(value, str):
        return value.strip().startswith(("[", "{")) or not is_unicode(value)
    return isinstance(value, dict | bytes)


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
    contexts, column = rows.columns[files.text_pair], rows.columns[files.label]
    ids = rows.columns.get(ID, range(len(rows)))
    starts = rows.columns.get(START, [None] * len(rows))
    problems = list(_not_its_own(rows, ids))
    if odd := [row for row, one in enumerate(starts) if not (is_missing(one) or _place(one) is not None)]:
        held = f"{rows.where(odd)}: column {START!r} holds {shown(starts[odd[0]])}"
        problems.append(f"{held}; expected the number of the answer's first character, from 0, or nothing")
    answers = list(map(_answers, column, contexts, starts))
    for wanted in dict.fromkeys(one for one in answers if isinstance(one, str)):
        at = [row for row, one in enumerate(answers) if one == wanted]
        problems.append(f"{rows.where(at)}: column {files.label!r} holds {shown(column[at[0]])}{wanted}")
    titles = ["" if is_missing(one) else str(one) for one in rows.columns.get(TITLE, contexts)]
    return {ID: list(map(str, ids)), TITLE: titles, ANSWERS: answers}, problems


def _not_its_own(rows: Rows, ids: Sequence[object]) -> Iterator[str]:
    times = Counter(map(str, ids))
    if at := [row for row, one in enumerate(ids) if is_missing(one) or times[str(one)] > 1]:
        held = f"{rows.where(at)}: column {ID!r} holds {shown(ids[at[0]])}"
        yield f"{held}; expected another one for each question, or no such column"


_LOST = (
    ", which stands nowhere in its context, or more than once; expected a piece of it, and a column "
    f"{START!r} with the number of its first character"
)
_NO_ANSWERS = f"; expected the answer's text, or as SQuAD has it {{text: [...], {START}: [...]}}"


def _answers(value: object, context: object, start: object) -> dict[str, list[Any]] | str:
    """As SQuAD's columns have them; where they cannot be told, what is to be said of the value."""
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):  # as SQuAD's JSON has them
        value = {name: [one.get(name) for one in value] for name in ("text", START)}
    if isinstance(value, dict):
        found = {name: value.get(name) or [] for name in ("text", START)}
        return {name: list(own) for name, own in found.items()} if _are_answers(**found) else _NO_ANSWERS
    if is_missing(value):
        return {"text": [], START: []}
    if isinstance(value, list | bytes):
        return _NO_ANSWERS
    text = str(value)
    if (place := _place(start)) is not None:
        return {"text": [text], START: [place]}
    is_clear = isinstance(context, str) and context.count(text) == 1
    return {"text": [text], START: [str(context).index(text)]} if is_clear else _LOST


def _are_answers(text: object, answer_start: object) -> bool:
    """None within is told by the kind, with what is missing."""
    if not isinstance(text, list) or not isinstance(answer_start, list):
        return False
    are_texts = all(one is None or (isinstance(one, str) and is_unicode(one)) for one in text)
    return are_texts and all(one is None or type(one) is int for one in answer_start)


def _place(value: object) -> int | None:
    """A whole number from 0, however it is written."""
    found = number(value)
    return int(found) if found is not None and found >= 0 and found == int(found) else None


def _tagged(rows: Rows, files: Files) -> Made:
    """Lists of words and of tags, or texts and lists of spans."""
    assert files.text is not None
    assert files.label is not None
    texts, labels = rows.columns[files.text], rows.columns[files.label]
    wanted = _are_tags if any(isinstance(one, list) for one in texts) else _are_spans
    problems = []
    if odd := [row for row, value in enumerate(texts) if isinstance(value, list) and not _are_words(value)]:
        problems.append(f"{rows.where(odd)}: column {files.text!r} holds {shown(texts[odd[0]])}; {_WORDS}")
    if odd := [row for row, value in enumerate(labels) if not wanted(value)]:
        what = _TAGS if wanted is _are_tags else _SPANS
        problems.append(f"{rows.where(odd)}: column {files.label!r} holds {shown(labels[odd[0]])}; {what}")
    if {type(one) for value in labels if isinstance(value, list) for one in value} == {str, int}:
        problems.append(f"column {files.label!r} holds names and numbers; expected one or the other")
    return {LABEL: labels if wanted is _are_tags else [_spans(one) for one in labels]}, problems


_LISTS = "lists stand in JSON lines or Parquet"
_WORDS = f"expected a list of words, each in quotes ({_LISTS})"
_TAGS = f"expected a list of tags, a name or a number for each word ({_LISTS})"
_SPANS = f"expected a list of spans {{start, end, label}}: two whole numbers and a name ({_LISTS})"


def _are_words(value: list[object]) -> bool:
    return all(isinstance(one, str) and is_unicode(one) for one in value)


def _are_tags(value: object) -> bool:
    return isinstance(value, list) and all(type(one) in (str, int) and is_unicode(str(one)) for one in value)


def _are_spans(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_span, value))


def _is_span(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(label := value.get("label"), str):
        return False
    edges = [value.get(edge) for edge in ("start", "end")]
    return is_unicode(label) and all(
        not isinstance(one, bool | str) and _place(one) is not None for one in edges
    )


def _spans(value: object) -> list[dict[str, Any]]:
    """Without what else a span may hold."""
    held = value if isinstance(value, list) and _are_spans(value) else []
    return [{"start": int(one["start"]), "end": int(one["end"]), "label": one["label"]} for one in held]
