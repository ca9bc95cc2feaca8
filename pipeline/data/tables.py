"""The tables of a task: their columns, and Parquet files whose bytes depend on their rows alone.

Pages carry a checksum: without one Parquet notices no flipped bit in a page, and more than half of all flips
read back as other data. The writer stores no metadata (pandas adds its version), so equal rows give equal
sha256.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bitladder.files import IntegrityError


def write_split(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    """Write `<folder>/<name>.parquet`; text columns as UTF-8 strings, the others as they are."""
    path = folder / f"{name}.parquet"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [
        pa.field(f.name, pa.string() if pa.types.is_large_string(f.type) else f.type) for f in table.schema
    ]
    pq.write_table(
        table.cast(pa.schema(fields)), path, compression="zstd", write_page_checksum=True, store_schema=False
    )
    return path


def read_split(folder: Path, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of `<folder>/<name>.parquet`, pages checked; `columns` picks some of them.

    The footer has no checksum of its own: whoever must be sure of the whole file calls
    `files.verify(folder)`.

    Raises:
        FileNotFoundError: there is no such split.
        IntegrityError: the file is torn or a page's checksum does not match.
    """
    frame: pd.DataFrame = read_table(folder / f"{name}.parquet", columns).to_pandas()
    return frame


def read_table(path: Path, columns: Sequence[str] | None = None, *, categories: bool = False) -> pa.Table:
    """One Parquet file as Arrow has it; raises as `read_split` does.

    Categorical columns, as pandas writes them, are what their categories are, or `categories` with an order.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        names = pq.read_schema(path).names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(map(repr, twice))} names more than one column")
        found = pq.read_table(
            path,
            columns=list(columns) if columns else None,
            page_checksum_verification=True,
            partitioning=None,
        )
        return found if categories else _without_categories(found)
    # A flip in the footer can make the reader fail in any of these ways.
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise IntegrityError(f"{path}: no readable Parquet file: {error}") from error


def _without_categories(table: pa.Table) -> pa.Table:
    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(number).cast(field.type.value_type)
            table = table.set_column(number, field.name, column)
    return table
