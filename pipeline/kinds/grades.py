"""What a table of queries, texts and grades must be before anything is trained on it."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.kinds.checks import column_problems, first_of, of_type, refuse, text_problems
from pipeline.kinds.columns import LABEL
from pipeline.params import Task

Range = tuple[float, float]


def checked(table: pa.Table, task: Task, between: Range, *, source: str) -> pd.DataFrame:
    """Both texts and `label` as float32. Raises DataError with every problem found."""
    texts = dict.fromkeys(task.sentence_columns, text_problems)
    refuse(source, column_problems(table, {**texts, LABEL: partial(_grade_problems, between)}))
    frame: pd.DataFrame = table.select([*task.sentence_columns, LABEL]).to_pandas()
    low = np.float32(between[0])
    frame = frame.astype({LABEL: np.float32})
    refuse(source, _without(frame[LABEL].to_numpy(), low))
    return frame


def _grade_problems(between: Range, name: str, column: pa.ChunkedArray) -> Iterator[str]:
    low, high = between
    wanted = f"numbers from {low:g} to {high:g} (task.range; 0 and 1 where there is none)"
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        yield of_type(name, column, wanted)
        return
    values = column.to_pylist()
    wrong = [row for row, value in enumerate(values) if value is None or not low <= value <= high]
    if wrong:
        yield f"{first_of(name, wrong, values)}; expected {wanted}"


def _without(grades_N: "np.typing.NDArray[np.float32]", low: np.float32) -> Iterator[str]:
    if (grades_N <= low).all() or (grades_N > low).all():
        what = "no text is relevant" if (grades_N <= low).all() else "every text is relevant"
        yield f"column {LABEL!r}: {what}; expected some that are, above {low:g}, and some that are not"
