"""What a table of sentences and labels must be before anything is trained on it.

A label out of range is an IndexError deep in a CPU run and poisons a whole CUDA process, a label of -100 is
silently ignored by the loss, a missing one turns integers into floats. So every split is checked when it is
read, on Arrow's own types (pandas would already have turned a missing integer into a float), and every
problem is told at once: file, row (the first is 0), value, how many rows.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa

from bitladder.text.characters import has_none_seen
from pipeline.kinds.columns import INDEX, LABEL

Problems = Callable[[str, pa.ChunkedArray], Iterator[str]]  # of a column, by its name


class DataError(ValueError):
    """The data are not what the task needs. `problems` holds one line for each thing found."""

    exit_code = 4

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


def refuse(source: str, problems: Iterable[str]) -> None:
    """Raise DataError with the problems found in `source`, if there are any."""
    if told := [f"{source}: {problem}" for problem in problems]:
        raise DataError(told)


def checked(
    table: pa.Table,
    *,
    source: str,
    sentence_columns: Sequence[str],
    num_labels: int | None,
    training: bool,
    between: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """The sentence columns, `label` and `idx` of a split, once nothing is wrong with them.

    Args:
        source: what messages call the split, a file's path for one.
        num_labels: classes 0..num_labels-1, or None for regression.
        training: whether the split is trained on, and so needs two classes at least.
        between: of regression, the least and the greatest label that there may be.

    Returns:
        Text as str, label as int64 (classification) or float32 (regression), idx as it was.

    Raises:
        DataError: with every problem found.
    """
    wanted: dict[str, Problems] = dict.fromkeys(sentence_columns, text_problems)
    classes, scores = partial(_class_problems, num_labels or 0, training), partial(_score_problems, between)
    wanted[LABEL] = classes if num_labels else scores
    refuse(source, column_problems(table, {**wanted, INDEX: _index_problems}))
    frame: pd.DataFrame = table.select([*sentence_columns, LABEL, INDEX]).to_pandas()
    return frame.astype({LABEL: np.float32 if num_labels is None else np.int64})


def checked_unlabelled(table: pa.Table, *, source: str, sentence_columns: Sequence[str]) -> pd.DataFrame:
    """The sentence columns and `idx` of a split to be answered, with labels of -1, once nothing is wrong.

    Raises:
        DataError: with every problem found; `idx` has to number the rows from 0 on, in any order.
    """
    wanted = {**dict.fromkeys(sentence_columns, text_problems), INDEX: _number_problems}
    refuse(source, column_problems(table, wanted))
    frame: pd.DataFrame = table.select([*sentence_columns, INDEX]).to_pandas()
    return frame.assign(**{LABEL: -1})


def column_problems(table: pa.Table, wanted: Mapping[str, Problems]) -> Iterator[str]:
    """What is wrong with the columns that a table needs; `wanted` tells it of each, by name."""
    for name, problems in wanted.items():
        if name not in table.column_names:
            yield f"no column {name!r}; it has {sorted(table.column_names)}"
        elif table.num_rows:
            yield from problems(name, table.column(name))
    if not table.num_rows:
        yield "no rows; at least one is needed"


def text_problems(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    """What is wrong with a column of text: its type, its encoding, rows without anything to read."""
    if not is_text(column.type):
        yield of_type(name, column, "text")
        return
    raw = [value or b"" for value in column.cast(pa.large_binary()).to_pylist()]
    texts = [value.decode(errors="ignore") for value in raw]
    broken = [row for row, text in enumerate(texts) if text.encode() != raw[row]]
    empty = [row for row, text in enumerate(texts) if has_none_seen(text)]  # no token would be left
    if broken:
        yield f"{first_of(name, broken, raw)}; expected UTF-8"
    elif empty:
        where = first_of(name, empty, column.to_pylist())
        yield f"{where}; expected text with at least one visible character"


def name_problems(table: pa.Table, label_names: Sequence[str]) -> Iterator[str]:
    """Whether the file itself (as `datasets` writes it, in its metadata) calls the classes otherwise."""
    try:
        own = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"][LABEL]["names"]
    except (KeyError, TypeError, ValueError):
        return
    if own != list(label_names) and own != [str(number) for number in range(len(own))]:
        yield (
            f"column {LABEL!r}: the file's own metadata call its classes {own}, and task.label_names says "
            f"{list(label_names)}; write them as the file has them, in this order"
        )


def _index_problems(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    if not pa.types.is_integer(column.type):
        yield of_type(name, column, "integers")
        return
    numbers = column.to_pylist()
    if missing := [row for row, number in enumerate(numbers) if number is None]:
        yield f"{first_of(name, missing, numbers)}; expected a number for each row"
    first = dict(zip(reversed(numbers), range(len(numbers) - 1, -1, -1), strict=True))
    if twice := [row for row, number in enumerate(numbers) if number is not None and first[number] != row]:
        before = first[numbers[twice[0]]]
        yield f"{first_of(name, twice, numbers)}; row {before} has it already, and each needs its own"


def _number_problems(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    if set(column.to_pylist()) != set(range(len(column))):
        yield f"column {name!r} does not number the {len(column)} rows from 0 on"


def _class_problems(num_labels: int, training: bool, name: str, column: pa.ChunkedArray) -> Iterator[str]:
    wanted = f"integers 0..{num_labels - 1}"
    if not pa.types.is_integer(column.type):
        yield of_type(name, column, wanted)
        return
    labels = column.to_pylist()
    wrong = [row for row, label in enumerate(labels) if label is None or not 0 <= label < num_labels]
    counts = dict(sorted(Counter(map(str, labels)).items()))
    if wrong:
        yield f"{first_of(name, wrong, labels)}; expected {wanted}; rows per label: {counts}"
    elif training and len(counts) < 2:
        yield f"column {name!r} holds one class only, rows per label: {counts}; training needs two"


def _score_problems(between: tuple[float, float] | None, name: str, column: pa.ChunkedArray) -> Iterator[str]:
    if not pa.types.is_floating(column.type):
        yield of_type(name, column, "floats")
        return
    # float32: the type that is trained on, in which a large double is infinite.
    with np.errstate(over="ignore"):
        scores_N = column.to_numpy().astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(scores_N)).tolist()
    if wrong:
        yield f"{first_of(name, wrong, column.to_pylist())}; expected finite floats"
    elif between is not None:
        low, high = np.asarray(between, np.float32)
        if outside := np.flatnonzero((scores_N < low) | (scores_N > high)).tolist():
            wanted = f"expected numbers from {between[0]:g} to {between[1]:g} (task.range)"
            yield f"{first_of(name, outside, column.to_pylist())}; {wanted}"


def first_of(name: str, rows: Sequence[int], values: Sequence[object]) -> str:
    """Where a column is wrong: its first row of those, the value there, how many there are."""
    value = values[rows[0]]
    shown = "missing" if value is None else repr(value)[:80]
    return f"column {name!r}, row {rows[0]}: {shown} ({len(rows)} such rows)"


def of_type(name: str, column: pa.ChunkedArray, wanted: str) -> str:
    """Another type than wanted."""
    return f"column {name!r} holds {column.type}; expected {wanted}"


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
