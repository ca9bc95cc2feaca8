"""Labels as people write them, words or numbers, and what is wrong with them.

Classes that are numbers are the same however they are written (`1`, `1.0`), and come in their order; words
are the same without the spaces around them, and come in the order that the file gives its categories, else
sorted. What could be either (numbers and words mixed, numbers of which hardly two are equal) is refused.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bitladder.shown import apart
from pipeline.data.own.reading import Rows, shown
from pipeline.problems.problem import did_you_mean, listed

MOST_NUMBERS = 30  # different numbers that are taken for classes
MOST_WORDS = 1000  # different words
MISSING = frozenset({"", "nan", "NaN", "NAN", "<NA>"})  # as libraries write a missing value
_MOST_TOLD = 20  # classes that are wrong, one by one
_MOST_RARE = 5
_MOST_DIGITS = 15
_FEWEST = 2  # rows of a class: one to learn from, one to choose checkpoints on


def is_missing(value: object) -> bool:
    """None, NaN, and the words that libraries write for them."""
    if isinstance(value, str):
        return value.strip() in MISSING
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_unicode(text: str) -> bool:
    """Half of a surrogate pair, which JSON can hold, is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def number(value: object) -> float | None:
    """A label as a number, where it is one. `007` is a word, and so are `true`, `1e3`, `inf` and what has
    more digits than a float keeps apart."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip() if isinstance(value, str | float) or abs(value) < 10**_MOST_DIGITS else ""
    whole = text.lstrip("+-").partition(".")[0]
    plain = whole.isascii() and whole.isdigit() and not (len(whole) > 1 and whole.startswith("0"))
    plain = plain and len(whole) <= _MOST_DIGITS
    if isinstance(value, float) and math.isfinite(value):
        return value
    try:
        return float(text) if plain and "e" not in text.lower() and "_" not in text else None
    except ValueError:
        return None


def word(value: object, *, as_numbers: bool, names: Sequence[str] = ()) -> str:
    """A label as `task.label_names` has it. `names`: those the file itself has for its numbers."""
    if names and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    if as_numbers and (found := number(value)) is not None:
        return str(int(found)) if found == int(found) else repr(found)
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def are_numbers(labels: Sequence[object]) -> bool:
    return all(number(label) is not None for label in labels)


def classes(rows: Rows, column: str) -> tuple[list[str], list[str]]:
    """(the classes of a column in their order, what keeps them from being classes)."""
    values = [value for value in rows.columns[column] if not is_missing(value)]
    if not values:
        return [], list(_missing(rows, column, rows.columns[column], "a word or a number"))
    if own := rows.names.get(column):
        used = {word(one, as_numbers=False, names=own) for one in values}
        return [name for name in dict.fromkeys(own) if name in used] or list(own), []
    numbers = [one for one in map(number, values) if one is not None]
    problems = list(_not_classes(rows, column, numbers))
    as_numbers = len(numbers) == len(values)
    found = {word(value, as_numbers=as_numbers) for value in values}
    return sorted(found, key=float if as_numbers else str), problems


def _not_classes(rows: Rows, column: str, numbers: Sequence[float]) -> Iterator[str]:
    values = rows.columns[column]
    at = [row for row, value in enumerate(values) if not is_missing(value)]
    if odd := [row for row in at if not _is_plain(values[row])]:
        yield (
            f"{rows.where(odd)}: column {column!r} holds {shown(values[odd[0]])}; expected a word or a number"
        )
        return
    words = [row for row in at if number(values[row]) is None]
    if numbers and words:
        few, many = (words, "numbers") if len(words) <= len(numbers) else (_others(at, words), "words")
        yield (
            f"{rows.where(few)}: column {column!r} holds {shown(values[few[0]])} among {many}; "
            "expected all numbers or all words"
        )
    elif len(set(numbers)) > MOST_NUMBERS:
        yield (
            f"column {column!r} holds {len(set(numbers))} different numbers, from {min(numbers):g} to "
            f"{max(numbers):g}: that looks like a score, not like classes; expected at most {MOST_NUMBERS} "
            "classes, or a regression (--kind regression; task.kind=regression)"
        )
    elif len(set(map(str, values))) > MOST_WORDS:
        yield (
            f"column {column!r} holds {len(set(map(str, values)))} different words; expected at most "
            f"{MOST_WORDS} classes. Is it the column of labels?"
        )


def _is_plain(value: object) -> bool:
    """Neither a list nor an object, nor text that is not UTF-8."""
    return not isinstance(value, list | tuple | dict | bytes) and is_unicode(str(value))


def _others(rows: Sequence[int], without: Sequence[int]) -> list[int]:
    left = {*without}
    return [row for row in rows if row not in left]


def holds_places(rows: Rows, column: str, label_names: Sequence[str]) -> bool:
    """Whether a column's numbers are places among labels that are words."""
    there = [value for value in rows.columns.get(column, []) if not is_missing(value)]
    is_own = (
        rows.names.get(column, label_names) == label_names
    )  # the file's own names, if any, in their order
    return is_own and not are_numbers(label_names) and are_numbers(there)


def class_numbers(
    rows: Rows, column: str, label_names: Sequence[str], *, places: bool = True
) -> tuple[list[int], list[str]]:
    """(the number of each row's class, -1 where it has none; what is wrong).

    Where the labels are words and a column holds numbers alone, these are places among them, from 0, unless
    `places` says no: where train holds words, a number elsewhere is none of them.
    """
    values, names = rows.columns[column], rows.names.get(column, ())
    as_places = places and not names and holds_places(rows, column, label_names)
    as_numbers = as_places or are_numbers(label_names)
    known = {str(at) if as_places else name: at for at, name in enumerate(label_names)}
    words = ["" if is_missing(one) else word(one, as_numbers=as_numbers, names=names) for one in values]
    problems = list(_missing(rows, column, values, f"one of {few(label_names)}"))
    wrong: dict[str, list[int]] = {}
    for row, one in enumerate(words):
        if one not in known and not is_missing(values[row]):
            wrong.setdefault(one, []).append(row)
    for one, at in list(wrong.items())[:_MOST_TOLD]:
        problems.append(
            f"{rows.where(at)}: column {column!r} holds {shown(one)}, which is none of the labels; "
            f"{did_you_mean(one, label_names)}expected one of {few(label_names)}"
        )
    return [known.get(one, -1) for one in words], problems


def scores(rows: Rows, column: str) -> tuple[list[float], list[str]]:
    """(the number of each row, NaN where there is none; what is wrong)."""
    values = rows.columns[column]
    found = [_finite(value) for value in values]
    wrong = [row for row, one in enumerate(found) if math.isnan(one) and not is_missing(values[row])]
    problems = list(_missing(rows, column, values, "a number"))
    if wrong:
        problems.append(
            f"{rows.where(wrong)}: column {column!r} holds {shown(values[wrong[0]])}; expected a number"
        )
    return found, problems


def same(rows: Rows, column: str, found: Sequence[float]) -> Iterator[str]:
    """Numbers of which there is nothing to learn."""
    if len({*found}) == 1 and not math.isnan(found[0]):
        held = f"column {column!r} holds {shown(rows.columns[column][0])} in every row"
        yield f"{held}; expected numbers that differ"


def range_of(found: Mapping[str, Rows], column: str) -> tuple[float, float] | None:
    """The least and the greatest number of all files; None where there are none, or one only.

    A -1 that is the only number below 0, where others lie above 1, is how data sets mark a hidden label.
    """
    columns = [scores(rows, column)[0] for rows in found.values() if column in rows.columns]
    numbers = {one for own in columns for one in own if not math.isnan(one)}
    if len(numbers) > 2 and sorted(numbers)[0] == -1 and sorted(numbers)[1] >= 0 and max(numbers) > 1:
        numbers.remove(-1.0)
    return (min(numbers), max(numbers)) if len(numbers) > 1 else None


def outside(rows: Rows, column: str, found: Sequence[float], between: tuple[float, float]) -> Iterator[str]:
    """Numbers that lie outside the task's range."""
    low, high = between
    if at := [row for row, one in enumerate(found) if one < low or one > high]:
        held = f"{rows.where(at)}: column {column!r} holds {shown(rows.columns[column][at[0]])}"
        meant = ", with which data sets mark a label that is hidden" if found[at[0]] == -1 else ""
        yield f"{held}{meant}; expected numbers from {low:g} to {high:g} (task.range)"


def _finite(value: object) -> float:
    try:
        is_odd = isinstance(value, bool) or "_" in str(value)  # 1_000 is Python's alone
        found = math.nan if is_odd else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
    return found if abs(found) < 3e38 else math.nan  # float32, that is trained on, has no more


def _missing(rows: Rows, column: str, values: Sequence[Any], wanted: str) -> Iterator[str]:
    if at := [row for row, value in enumerate(values) if is_missing(value)]:
        held = f"column {column!r} holds no label ({shown(values[at[0]])})"
        yield f"{rows.where(at)}: {held}; expected {wanted}"


def count_problems(
    rows: Rows, column: str, numbers: Sequence[int], label_names: Sequence[str]
) -> Iterator[str]:
    """Classes with too few rows to learn from."""
    counts = Counter(one for one in numbers if one >= 0)
    if len(counts) == 1:
        [only] = counts
        yield f"column {column!r} holds one class only, {label_names[only]!r}; expected two or more"
        return
    rare = [at for at in range(len(label_names)) if counts[at] < _FEWEST]
    wanted = f"expected {_FEWEST} rows of each class at least, to learn from and to choose checkpoints on"
    if len(rare) > _MOST_RARE:
        where = rows.where([row for row, one in enumerate(numbers) if counts[one] < _FEWEST])
        held = f"{len(rare)} values that stand there once or nowhere, as {label_names[rare[0]]!r}"
        yield f"{where}: column {column!r} holds {held}; {wanted}. Is it the column of labels?"
        return
    for at in rare:
        found = [row for row, one in enumerate(numbers) if one == at]
        meant = did_you_mean(label_names[at], [name for name in label_names if name != label_names[at]])
        yield (
            f"{rows.where(found) if found else 'no row'}: column {column!r} holds {label_names[at]!r} "
            f"{'once' if found else 'nowhere'}; {meant}{wanted}"
        )


def few(names: Sequence[str]) -> str:
    """The first of them, each as it can be told from the others."""
    told = list(apart(names).values())
    return listed(told) if len(told) <= 12 else f"{listed(told[:12])}, ... ({len(told)} in all)"
