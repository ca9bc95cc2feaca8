"""Rows in, answers out, in order: many at a time, and a row that has no answer spoils no other."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

from bitladder.answers import Answer
from bitladder.predict import PackedModel
from bitladder.rows.row import Bad, Row

AT_ONCE = 256


def answered(model: PackedModel, rows: Iterable[Row | Bad]) -> Iterator[tuple[int, Answer] | Bad]:
    """Each row's number with its answer, or why it has none."""
    following = iter(rows)
    while some := list(islice(following, AT_ONCE)):
        found = iter(answers(model, [one for one in some if isinstance(one, Row)]))
        for one in some:
            answer = next(found) if isinstance(one, Row) else one
            yield answer if isinstance(answer, Bad) else (one.number, answer)


def answers(model: PackedModel, rows: Sequence[Row]) -> list[Answer | Bad]:
    """Of each row, asked together with its neighbours of as many texts."""
    found: list[Answer | Bad] = []
    for has_pair, group in groupby(rows, key=lambda row: row.pair is not None):
        alike = list(group)
        found += _together(model, alike, [row.pair or "" for row in alike] if has_pair else None)
    return found


def _together(model: PackedModel, rows: list[Row], pairs: list[str] | None) -> list[Answer | Bad]:
    try:
        return list(model([row.text for row in rows], pairs))
    except ValueError as error:
        if len(rows) == 1:
            return [Bad(rows[0].number, " ".join(str(error).split()))]
    return [answer for row in rows for answer in answers(model, [row])]
