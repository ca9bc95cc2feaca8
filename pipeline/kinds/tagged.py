"""What a table of words and tags, or of texts and spans, must be before anything is trained on it.

Both become the same: a text, from and to which of its characters each word stands, and each word's tag.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
import pyarrow as pa

from bitladder.text.entities import BEGINS, INSIDE, OUTSIDE
from bitladder.text.words import Places, join_words, split_words
from pipeline.kinds.checks import first_of, is_text, of_type, refuse, text_problems
from pipeline.kinds.columns import LABEL, WORD_ENDS, WORD_STARTS
from pipeline.params import Task

Tagged = tuple[str, Places, list[int]]  # a text, its words, their tags
_KEYS = ("start", "end", "label")


def checked(table: pa.Table, task: Task, *, source: str, training: bool) -> pd.DataFrame:
    """The text column, WORD_STARTS, WORD_ENDS and `label`. Raises DataError with every problem found."""
    [name] = task.sentence_columns
    missing = [f"no column {one!r}; it has {sorted(table.column_names)}" for one in (name, LABEL)
               if one not in table.column_names]  # fmt: skip
    refuse(source, missing or ([] if table.num_rows else ["no rows; at least one is needed"]))
    texts, labels = table.column(name), table.column(LABEL)
    if _is_list(texts.type):
        refuse(source, _word_problems(name, texts, labels, task))
        rows = list(map(_of_words, texts.to_pylist(), labels.to_pylist(), [_numbers(task)] * len(table)))
    else:
        refuse(source, [*text_problems(name, texts), *_span_problems(name, texts, labels, task)])
        rows = list(map(_of_spans, texts.to_pylist(), labels.to_pylist(), [_numbers(task)] * len(table)))
    if training and not any(tag != _numbers(task)[OUTSIDE] for _, _, tags in rows for tag in tags):
        refuse(source, [f"column {LABEL!r}: no row has an entity; training needs one at least"])
    columns = {
        name: [text for text, _, _ in rows],
        WORD_STARTS: [[start for start, _ in places] for _, places, _ in rows],
        WORD_ENDS: [[end for _, end in places] for _, places, _ in rows],
        LABEL: [tags for _, _, tags in rows],
    }
    return pd.DataFrame({key: pd.Series(values, dtype=object) for key, values in columns.items()})


def _numbers(task: Task) -> dict[Any, int]:
    """Tags by name and by number."""
    names = {name: at for at, name in enumerate(task.label_names)}
    return {**names, **{at: at for at in names.values()}}


def _of_words(words: list[str], tags: list[Any], numbers: dict[Any, int]) -> Tagged:
    text, places = join_words(words)
    return text, places, [numbers[tag] for tag in tags]


def _of_spans(text: str, spans: list[dict[str, Any]], numbers: dict[Any, int]) -> Tagged:
    cut = sorted(_tight(text, span) for span in spans)
    places = split_words(text, [edge for start, end, _ in cut for edge in (start, end)])
    tags = [numbers[OUTSIDE]] * len(places)
    for start, end, label in cut:
        inside = [at for at, place in enumerate(places) if start <= place[0] < end]
        for at in inside:
            tags[at] = numbers[f"{BEGINS if at == inside[0] else INSIDE}{label}"]
    return text, places, tags


def _tight(text: str, span: dict[str, Any]) -> tuple[int, int, str]:
    """Without the spaces at its ends."""
    own = text[span["start"] : span["end"]]
    return (
        span["start"] + len(own) - len(own.lstrip()),
        span["end"] - len(own) + len(own.rstrip()),
        span["label"],
    )


def _word_problems(name: str, texts: pa.ChunkedArray, labels: pa.ChunkedArray, task: Task) -> Iterator[str]:
    if not is_text(texts.type.value_type):
        yield of_type(name, texts, "lists of words, or texts")
        return
    if not _is_list(labels.type):
        yield of_type(LABEL, labels, "lists of tags, one for each word")
        return
    words, tags, known = texts.to_pylist(), labels.to_pylist(), _numbers(task)
    blank = [row for row, own in enumerate(words) if not own or not all(one and one.strip() for one in own)]
    if blank:
        yield f"{first_of(name, blank, words)}; expected at least one word, none of them blank"
    uneven = [row for row, own in enumerate(tags) if own is None or len(own) != len(words[row] or [])]
    if uneven:
        row = uneven[0]
        counts = f"{len(tags[row] or [])} tags for {len(words[row] or [])} words"
        yield f"column {LABEL!r}, row {row}: {counts} ({len(uneven)} such rows); expected one for each word"
    wrong = [row for row, own in enumerate(tags) if any(one not in known for one in own or [])]
    if wrong:
        unknown = next(one for one in tags[wrong[0]] if one not in known)
        where = f"column {LABEL!r}, row {wrong[0]}: {unknown!r} ({len(wrong)} such rows)"
        yield f"{where}; expected tags of {', '.join(task.label_names)}, or their numbers from 0 on"


def _span_problems(name: str, texts: pa.ChunkedArray, labels: pa.ChunkedArray, task: Task) -> Iterator[str]:
    if not is_text(texts.type):
        return
    if not _are_spans(labels.type):
        yield of_type(LABEL, labels, f"lists of spans {{{', '.join(_KEYS)}}} of the texts in {name!r}")
        return
    types = sorted({one[2:] for one in task.label_names if one != OUTSIDE})
    found: dict[str, list[int]] = {}
    for row, (text, spans) in enumerate(zip(texts.to_pylist(), labels.to_pylist(), strict=True)):
        if text is not None and (wrong := _wrong(text, spans, types)):
            found.setdefault(wrong, []).append(row)
    for wrong, rows in found.items():
        yield f"{first_of(LABEL, rows, labels.to_pylist())}; {wrong}"


def _wrong(text: str, spans: Sequence[dict[str, Any]] | None, types: Sequence[str]) -> str | None:
    """What would have been right in place of a row's spans."""
    if spans is None or any(None in (span.get(key) for key in _KEYS) for span in spans):
        return "expected start, end and label of each span; an empty list is for no entity"
    if any(span["label"] not in types for span in spans):
        return f"expected labels of {', '.join(types)} (task.label_names has B- and I- of each)"
    if any(not 0 <= span["start"] < span["end"] <= len(text) for span in spans):
        return "expected 0 <= start < end <= characters of the text"
    if any(not text[span["start"] : span["end"]].strip() for span in spans):
        return "expected spans with a visible character"
    ends = sorted((span["start"], span["end"]) for span in spans)
    if any(second[0] < first[1] for first, second in pairwise(ends)):
        return "expected spans that do not overlap"
    return None


def _are_spans(kind: pa.DataType) -> bool:
    """A list of which all entries are empty has no type to speak of (null)."""
    if not _is_list(kind):
        return False
    inner = kind.value_type
    is_span = pa.types.is_struct(inner) and {*_KEYS} <= {field.name for field in inner}
    return bool(is_span or pa.types.is_null(inner))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
