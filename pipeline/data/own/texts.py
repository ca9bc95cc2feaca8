"""Columns of a person's file: whether they are there, and whether they hold text that can be read."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from unicodedata import category

from pipeline.data.own.labels import is_missing, is_unicode
from pipeline.data.own.reading import Rows, shown
from pipeline.problems.problem import listed


def missing_columns(rows: Rows, wanted: Sequence[str]) -> Iterator[str]:
    """Each column that is not there, with the name that was meant, if one is close."""
    for name in wanted:
        if name not in rows.columns:
            known = list(rows.columns)
            lower = {one.lower(): one for one in known}
            close = get_close_matches(name.lower(), lower, n=1)
            meant = f"did you mean {lower[close[0]]!r}? " if close else ""
            yield f"no column {name!r}; {meant}it has {listed(map(repr, known)) or 'none'}"


def text_problems(rows: Rows, column: str, *, as_words: bool = False) -> Iterator[str]:
    """Rows of a column without text, or with something else than text. `as_words`: lists are wanted."""
    values = rows.columns[column]
    found: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        if as_words:
            wrong = None if isinstance(value, list) else "a list of words, as in other rows"
        else:
            wrong = _wrong(value)
        if wrong is not None:
            found.setdefault(wrong, []).append(row)
    for wanted, at in found.items():
        yield f"{rows.where(at)}: column {column!r} holds {shown(values[at[0]])}; expected {wanted}"


def _wrong(value: object) -> str | None:
    """What would have been right in place of a value that is no text to read."""
    if isinstance(value, bytes) or (isinstance(value, str) and not is_unicode(value)):
        return "UTF-8"
    if is_missing(value):
        return "a text (there is none)"
    if not isinstance(value, str):
        return "text, in quotes" if isinstance(value, int | float) else "text"
    # Visible: neither space nor control nor zero-width (Unicode classes Z and C).
    return "at least one visible character" if all(category(one)[0] in "ZC" for one in value) else None
