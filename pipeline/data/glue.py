"""The labelled splits of a GLUE task, from a folder of Parquet files or from the Hugging Face Hub.

Names of files, columns and labels are those of `nyu-mll/glue` (Wang et al., arXiv:1804.07461): `label` is
an integer from 0, or a float for STS-B; MNLI has `validation_matched` and `validation_mismatched`. The test
splits have no labels (-1 in every row) and are read only to be answered.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.data.checks import checked, checked_splits, checked_unlabelled
from pipeline.data.hub import fetch
from pipeline.data.tables import read_table

REPOSITORY = "nyu-mll/glue"
TRAIN = "train"


def from_folder(
    root: Path,
    task: str,
    *,
    validation_splits: Sequence[str],
    sentence_columns: Sequence[str],
    num_labels: int | None,
) -> dict[str, pd.DataFrame]:
    """Read `<root>/glue/<task>/<split>.parquet` for train and each validation split.

    Raises:
        FileNotFoundError: a file is missing; the message names it.
        IntegrityError: a file is torn.
        DataError: rows are wrong; every problem of every split is told.
    """
    paths = {split: path_of(root, task, split) for split in [TRAIN, *validation_splits]}
    tables = {split: (str(path), read_table(path)) for split, path in paths.items()}
    return check_splits(tables, sentence_columns, num_labels)


def from_hub(
    task: str,
    *,
    repository: str | None,
    revision: str,
    validation_splits: Sequence[str],
    sentence_columns: Sequence[str],
    num_labels: int | None,
) -> dict[str, pd.DataFrame]:
    """Fetch config `task` of `repository` (GLUE's own by default) at a pinned revision through `datasets`.

    Raises:
        HubError: the Hub cannot be reached and the data set is not in the local cache.
        DataError: as `from_folder`.
    """
    name = repository or REPOSITORY
    tables = {
        split: (f"{name}/{task}/{split}", fetch(name, task, split, revision))
        for split in [TRAIN, *validation_splits]
    }
    return check_splits(tables, sentence_columns, num_labels)


def path_of(root: Path, task: str, split: str) -> Path:
    """Where a split lies in a folder of GLUE's tasks."""
    return Path(root) / "glue" / task / f"{split}.parquet"


def unlabelled_from_folder(
    root: Path, task: str, split: str, sentence_columns: Sequence[str]
) -> pd.DataFrame:
    """A test split, to be answered. Raises as `from_folder`."""
    path = path_of(root, task, split)
    return checked_unlabelled(read_table(path), source=str(path), sentence_columns=sentence_columns)


def unlabelled_from_hub(
    repository: str | None, revision: str, task: str, split: str, sentence_columns: Sequence[str]
) -> pd.DataFrame:
    """A test split, to be answered. Raises as `from_hub`."""
    name = repository or REPOSITORY
    table = fetch(name, task, split, revision)
    return checked_unlabelled(table, source=f"{name}/{task}/{split}", sentence_columns=sentence_columns)


def check_splits(
    tables: dict[str, tuple[str, pa.Table]], sentence_columns: Sequence[str], num_labels: int | None
) -> dict[str, pd.DataFrame]:
    """Check each split's (name for messages, table). Raises DataError with the problems of all of them."""

    def check(split: str, source: str, table: pa.Table) -> pd.DataFrame:
        return checked(
            table,
            source=source,
            sentence_columns=sentence_columns,
            num_labels=num_labels,
            training=split == TRAIN,
        )

    return checked_splits(tables, check)
