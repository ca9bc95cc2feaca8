"""What a table of questions and answers must be before anything is trained on it.

An answer is a piece of its context: its text has to stand where `answer_start` says, or a model would be
taught to point at other words. Files in circulation have starts that are off by a character or two; those
are put right and counted, everything else is refused, all problems at once.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import ne
from typing import Any

import pandas as pd
import pyarrow as pa

from bitladder.text.characters import has_none_seen
from pipeline.kinds.checks import column_problems, first_of, is_text, of_type, refuse, text_problems
from pipeline.kinds.columns import CONTEXT, ID, QUESTION, STARTS, TEXTS, TITLE
from pipeline.progress import say

ANSWERS = "answers"
_NEAR = 2  # characters that an answer's start may be off
_SHOWN = 60

Answers = list[tuple[str, int]]


def checked(table: pa.Table, *, source: str, unanswerable: bool) -> pd.DataFrame:
    """The rows of a split with the columns of `questions`, once nothing is wrong with them.

    Args:
        source: what messages call the split, a file's path for one.
        unanswerable: whether questions without an answer belong to the task.

    Raises:
        DataError: with every problem found.
    """
    texts = dict.fromkeys((ID, TITLE, CONTEXT, QUESTION), text_problems)
    refuse(source, column_problems(table, {**texts, TITLE: _title_problems, ANSWERS: _type_problems}))
    rows = table.column(ANSWERS).to_pylist()
    name, times = Counter(table.column(ID).to_pylist()).most_common(1)[0]
    repeated = f"column 'id': {name!r:.80} stands {times} times; each question needs its own"
    refuse(source, [*_list_problems(rows), *([repeated] if times > 1 else [])])
    answers = [list(zip(row["text"], row["answer_start"], strict=True)) for row in rows]
    placed = list(map(_placed, table.column(CONTEXT).to_pylist(), answers))
    refuse(source, [*_place_problems(answers, placed), *_count_problems(answers, unanswerable)])
    moved = sum(map(ne, chain.from_iterable(answers), chain.from_iterable(placed)))
    if moved:
        say(f"{source}: {moved} answers stood up to {_NEAR} characters from their start: corrected")
    frame: pd.DataFrame = table.select([ID, TITLE, CONTEXT, QUESTION]).to_pandas()
    frame[TITLE] = frame[TITLE].fillna("").astype(str)
    for part, name in enumerate((TEXTS, STARTS)):
        frame[name] = pd.Series([[answer[part] for answer in own] for own in placed], dtype=object)
    return frame


def _title_problems(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    """A title says which contexts belong together; one that is blank or missing says nothing."""
    if not (is_text(column.type) or pa.types.is_null(column.type)):
        yield of_type(name, column, "text")


def _type_problems(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    if not _are_answers(column.type):
        yield of_type(name, column, "struct<text: list<string>, answer_start: list<int>>")


def _are_answers(kind: pa.DataType) -> bool:
    """A list of which all entries are empty has no type to speak of (null)."""
    if not pa.types.is_struct(kind) or {"text", "answer_start"} - {field.name for field in kind}:
        return False
    lists = [kind.field(name).type for name in ("text", "answer_start")]
    if not all(pa.types.is_list(each) or pa.types.is_large_list(each) for each in lists):
        return False
    text, start = (each.value_type for each in lists)
    are_texts = is_text(text) or pa.types.is_null(text)
    return bool(are_texts and (pa.types.is_integer(start) or pa.types.is_null(start)))


def _list_problems(rows: Sequence[Any]) -> Iterator[str]:
    wrong = [number for number, row in enumerate(rows) if not _is_whole(row)]
    if wrong:
        where = first_of("answers", wrong, rows)
        yield f"{where}; expected as many starts as texts, none of them missing or blank"


def _is_whole(row: Any) -> bool:
    texts, starts = (row or {}).get("text"), (row or {}).get("answer_start")
    if texts is None or starts is None or len(texts) != len(starts):
        return False
    return not any(text is None or has_none_seen(text) for text in texts) and None not in starts


def _placed(context: str, answers: Answers) -> list[tuple[str, int | None]]:
    """Each answer with the start nearest to its own at which it stands; None where it does not."""

    def place(text: str, start: int) -> int | None:
        near = [start + by for by in sorted(range(-_NEAR, _NEAR + 1), key=abs)]
        return next((at for at in near if at >= 0 and context.startswith(text, at)), None)

    return [(text, place(text, start)) for text, start in answers]


def _place_problems(
    answers: Sequence[Answers], placed: Sequence[Sequence[tuple[str, int | None]]]
) -> Iterator[str]:
    wrong = [number for number, own in enumerate(placed) if None in [start for _, start in own]]
    if wrong:
        text, start = answers[wrong[0]][[start for _, start in placed[wrong[0]]].index(None)]
        yield (
            f"column 'answers', row {wrong[0]}: {text[:_SHOWN]!r} does not stand at character {start} of its "
            f"context ({len(wrong)} such rows)"
        )


def _count_problems(answers: Sequence[Answers], unanswerable: bool) -> Iterator[str]:
    without = [number for number, own in enumerate(answers) if not own]
    if without and not unanswerable:
        yield (
            f"column 'answers', row {without[0]}: no answer ({len(without)} such rows); in this task every "
            "question has an answer (in squad_v2 some have none)"
        )
    elif len(without) == len(answers):
        yield "column 'answers': no question has an answer; at least one is needed"
