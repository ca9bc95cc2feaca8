"""What a table of sentences and labels must be before anything is trained on it.

A label out of range is an IndexError deep in a CPU run and poisons a whole CUDA process, a label of -100 is
silently ignored by the loss, a missing one turns integers into floats. So every split is checked when it is
read, on Arrow's own types (pandas would already have turned a missing integer into a float), and every
problem is told at once: file, row (the first is 0), value, how many rows.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.data.tables import INDEX, LABEL


class DataError(ValueError):
    """The data are not what the task needs. `problems` holds one line for each thing found."""

    exit_code = 4

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


def refuse(source: str, problems: Sequence[str]) -> None:
    """Raise DataError with the problems found in `source`, if there are any."""
    if problems:
        raise DataError([f"{source}: {problem}" for problem in problems])


def checked(
    table: pa.Table, *, source: str, sentence_columns: Sequence[str], num_labels: int | None, training: bool
) -> pd.DataFrame:
    """The sentence columns, `label` and `idx` of a split, once nothing is wrong with them.

    Args:
        source: what messages call the split, a file's path for one.
        num_labels: classes 0..num_labels-1, or None for regression.
        training: whether the split is trained on, and so needs two classes at least.

    Returns:
        Text as str, label as int64 (classification) or float32 (regression), idx as it was.

    Raises:
        DataError: with every problem found.
    """
    refuse(source, list(_problems(table, sentence_columns, num_labels, training)))
    frame: pd.DataFrame = table.select([*sentence_columns, LABEL, INDEX]).to_pandas()
    return frame.astype({LABEL: np.float32 if num_labels is None else np.int64})


def checked_unlabelled(table: pa.Table, *, source: str, sentence_columns: Sequence[str]) -> pd.DataFrame:
    """The sentence columns and `idx` of a split to be answered, with labels of -1, once nothing is wrong.

    Raises:
        DataError: with every problem found; `idx` has to number the rows from 0 on, in any order.
    """
    missing = [name for name in (*sentence_columns, INDEX) if name not in table.column_names]
    problems = [f"no column {name!r}; it has {sorted(table.column_names)}" for name in missing]
    for name in sentence_columns:
        problems += [] if name in missing else list(text_problems(name, table.column(name)))
    if INDEX not in missing and sorted(table.column(INDEX).to_pylist()) != list(range(table.num_rows)):
        problems.append(f"column {INDEX!r} does not number the {table.num_rows} rows from 0 on")
    refuse(source, problems)
    frame: pd.DataFrame = table.select([*sentence_columns, INDEX]).to_pandas()
    return frame.assign(**{LABEL: -1})


def _problems(
    table: pa.Table, sentence_columns: Sequence[str], num_labels: int | None, training: bool
) -> Iterator[str]:
    for name in [*sentence_columns, LABEL, INDEX]:
        if name not in table.column_names:
            yield f"no column {name!r}; it has {sorted(table.column_names)}"
        elif not table.num_rows:
            continue
        elif name in sentence_columns:
            yield from text_problems(name, table.column(name))
        elif name == INDEX:
            yield from _type_problem(name, table.column(name), pa.types.is_integer, "integers")
        elif num_labels is None:
            yield from _score_problems(table.column(name))
        else:
            yield from _class_problems(table.column(name), num_labels, training)
    if table.num_rows == 0:
        yield "no rows; at least one is needed"


def _type_problem(
    name: str, column: pa.ChunkedArray, accepts: Callable[[pa.DataType], bool], wanted: str
) -> Iterator[str]:
    if not accepts(column.type):
        yield f"column {name!r} holds {column.type}; expected {wanted}"


def _class_problems(column: pa.ChunkedArray, num_labels: int, training: bool) -> Iterator[str]:
    wanted = f"integers 0..{num_labels - 1}"
    yield from _type_problem(LABEL, column, pa.types.is_integer, wanted)
    if not pa.types.is_integer(column.type):
        return
    labels = column.to_pylist()
    wrong = [row for row, label in enumerate(labels) if label is None or not 0 <= label < num_labels]
    counts = dict(sorted(Counter(map(str, labels)).items()))
    if wrong:
        yield f"{first_of(LABEL, wrong, labels)}; expected {wanted}; rows per label: {counts}"
    elif training and len(counts) < 2:
        yield f"column {LABEL!r} holds one class only, rows per label: {counts}; training needs two"


def _score_problems(column: pa.ChunkedArray) -> Iterator[str]:
    yield from _type_problem(LABEL, column, pa.types.is_floating, "floats")
    if not pa.types.is_floating(column.type):
        return
    values = column.to_pylist()
    # float32: the type that is trained on, in which a large double is infinite.
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.array([np.nan if value is None else value for value in values], np.float32))
    wrong = np.flatnonzero(~finite).tolist()
    if wrong:
        yield f"{first_of(LABEL, wrong, values)}; expected finite floats"


def text_problems(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    """What is wrong with a column of text: its type, its encoding, rows without anything to read."""
    yield from _type_problem(name, column, is_text, "text")
    if not is_text(column.type):
        return
    raw = column.cast(pa.large_binary()).to_pylist()
    broken = [row for row, value in enumerate(raw) if value is not None and not _is_utf8(value)]
    if broken:
        yield f"{first_of(name, broken, raw)}; expected UTF-8"
        return
    values = column.to_pylist()
    empty = [row for row, value in enumerate(values) if value is None or not _is_visible(value)]
    if empty:
        yield f"{first_of(name, empty, values)}; expected text with at least one visible character"


def first_of(name: str, rows: Sequence[int], values: Sequence[object]) -> str:
    """Where a column is wrong: its first row of those, the value there, how many there are."""
    value = values[rows[0]]
    shown = "missing" if value is None else repr(value)[:80]
    return f"column {name!r}, row {rows[0]}: {shown} ({len(rows)} such rows)"


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_visible(text: str) -> bool:
    """Whether any character is neither space nor control nor zero-width (Unicode classes Z and C)."""
    return any(unicodedata.category(character)[0] not in "ZC" for character in text)
