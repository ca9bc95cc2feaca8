"""What a table of texts with several labels each must be before anything is trained on it."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline.kinds.checks import column_problems, first_of, of_type, refuse, text_problems
from pipeline.kinds.columns import LABEL
from pipeline.params import Task


def checked(table: pa.Table, task: Task, *, source: str, training: bool) -> pd.DataFrame:
    """The text columns, and `label` as a list of 0 and 1. Raises DataError with every problem found."""
    names = task.label_names
    wanted = dict.fromkeys(task.sentence_columns, text_problems)
    if LABEL in table.column_names:
        found, problems = _from_lists(table.column(LABEL), names)
    else:
        found, problems = _from_columns(table, names)
    rare = _rare(found, names) if training and not problems else ()
    refuse(source, [*column_problems(table, wanted), *problems, *rare])
    frame: pd.DataFrame = table.select(task.sentence_columns).to_pandas()
    return frame.assign(**{LABEL: pd.Series(found, dtype=object)})


def _from_lists(column: pa.ChunkedArray, names: list[str]) -> tuple[list[list[int]], list[str]]:
    known: dict[Any, int] = {name: at for at, name in enumerate(names)}
    known |= {at: at for at in range(len(names))}
    wanted = f"a list of {', '.join(names)}, or of numbers 0..{len(names) - 1}; an empty one is for no label"
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return [], [of_type(LABEL, column, wanted)]
    values = column.to_pylist()
    wrong = [row for row, own in enumerate(values) if own is None or any(one not in known for one in own)]
    if wrong:
        return [], [f"{first_of(LABEL, wrong, values)}; expected {wanted}"]
    numbers = [{known[one] for one in own} for own in values]
    return [[int(at in own) for at in range(len(names))] for own in numbers], []


def _from_columns(table: pa.Table, names: list[str]) -> tuple[list[list[int]], list[str]]:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        has = sorted(table.column_names)
        return [], [
            f"no column {LABEL!r} with lists of labels, nor columns {missing} of 0 and 1; it has {has}"
        ]
    columns = {name: table.column(name).to_pylist() for name in names}
    problems = [problem for name, values in columns.items() for problem in _not_binary(name, values)]
    rows = zip(*columns.values(), strict=True)
    return [] if problems else [list(map(int, row)) for row in rows], problems


def _not_binary(name: str, values: list[Any]) -> Iterator[str]:
    if wrong := [row for row, value in enumerate(values) if value not in (0, 1)]:
        yield f"{first_of(name, wrong, values)}; expected 0 or 1"


def _rare(found: list[list[int]], names: list[str]) -> Iterator[str]:
    for at, name in enumerate(names):
        if not any(row[at] for row in found):
            yield f"no row has the label {name!r}; training needs one at least (task.label_names)"
