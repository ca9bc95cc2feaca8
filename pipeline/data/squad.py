"""SQuAD's questions, from a folder of Parquet files or from the Hugging Face Hub.

Names of files and columns are those of `rajpurkar/squad` (1.1: Rajpurkar et al., arXiv:1606.05250) and
`rajpurkar/squad_v2` (2.0, with questions that have no answer: arXiv:1806.03822): `id`, `title`, `context`,
`question` and `answers`, a struct of two lists, `text` and `answer_start` (characters from 0). Here the two
lists are columns of their own, and a question without an answer has empty ones.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.data.checks import checked_splits
from pipeline.data.hub import fetch
from pipeline.data.question_checks import checked
from pipeline.data.tables import read_table

TRAIN = "train"


def from_folder(
    root: Path, task: str, *, validation_splits: Sequence[str], unanswerable: bool
) -> dict[str, pd.DataFrame]:
    """Read `<root>/<task>/<split>.parquet` for train and each validation split.

    Raises:
        FileNotFoundError: a file is missing; the message names it.
        IntegrityError: a file is torn.
        DataError: rows are wrong; every problem of every split is told.
    """
    paths = {split: Path(root) / task / f"{split}.parquet" for split in [TRAIN, *validation_splits]}
    tables = {split: (str(path), read_table(path)) for split, path in paths.items()}
    return check_splits(tables, unanswerable=unanswerable)


def from_hub(
    repository: str, revision: str, *, validation_splits: Sequence[str], unanswerable: bool
) -> dict[str, pd.DataFrame]:
    """Fetch a repository's splits at a pinned revision through `datasets`.

    Raises:
        HubError: the Hub cannot be reached and the data set is not in the local cache.
        DataError: as `from_folder`.
    """
    tables = {
        split: (f"{repository}/{split}", fetch(repository, None, split, revision))
        for split in [TRAIN, *validation_splits]
    }
    return check_splits(tables, unanswerable=unanswerable)


def check_splits(tables: dict[str, tuple[str, pa.Table]], *, unanswerable: bool) -> dict[str, pd.DataFrame]:
    """Check each split's (name for messages, table). Raises DataError with the problems of all of them."""
    return checked_splits(
        tables, lambda _, source, table: checked(table, source=source, unanswerable=unanswerable)
    )
