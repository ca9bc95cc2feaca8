"""The labelled splits of a task, from a folder of Parquet files or from the Hugging Face Hub.

Names of files, columns and labels of GLUE's tasks are those of `nyu-mll/glue` (Wang et al.,
arXiv:1804.07461): `label` is an integer from 0, or a float for STS-B; MNLI has `validation_matched` and
`validation_mismatched`. The test splits have no labels (-1 in every row) and are read only to be answered.

Those of questions are the names of `rajpurkar/squad` (1.1: Rajpurkar et al., arXiv:1606.05250) and
`rajpurkar/squad_v2` (2.0, with questions that have no answer: arXiv:1806.03822): `id`, `title`, `context`,
`question` and `answers`, a struct of two lists, `text` and `answer_start` (characters from 0).
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline import kinds
from pipeline.data.hub import fetch
from pipeline.data.tables import read_table
from pipeline.kinds import checks
from pipeline.kinds.checks import DataError
from pipeline.params import Data, Task
from pipeline.problems.problem import from_here

TRAIN = "train"
Named = tuple[str, pa.Table]  # what messages call a split, and its rows


def read(task: Task, data: Data) -> dict[str, pd.DataFrame]:
    """The rows of train and of each validation split, checked.

    Raises:
        FileNotFoundError: a file is missing; the message names it.
        IntegrityError: a file is torn.
        HubError: the Hub cannot be reached and the data set is not in the local cache.
        DataError: rows are wrong; every problem of every split is told.
    """
    return check({split: table(task, data, split) for split in (TRAIN, *task.validation_splits)}, task)


def unlabelled(task: Task, data: Data, split: str, *, dataset: str) -> pd.DataFrame:
    """A test split of one of GLUE's data sets, to be answered. Raises as `read` does."""
    source, rows = table(task, data, split, dataset=dataset)
    return checks.checked_unlabelled(rows, source=source, sentence_columns=task.sentence_columns)


def table(task: Task, data: Data, split: str, *, dataset: str | None = None) -> Named:
    """A split as it is there, and what messages call it. `dataset`: of GLUE's; the task's own unless said."""
    if data.source == "path":
        path = path_of(task, data, split, dataset=dataset)
        if not path.is_file() and not path.is_absolute():
            raise FileNotFoundError(f"data.root: {path}: no such file{from_here(path)}")
        return str(path), read_table(path)
    assert data.repository is not None
    assert data.revision is not None
    config = dataset or task.name if kinds.of(task).is_glue else None
    name = "/".join(filter(None, (data.repository, config, split)))
    return name, fetch(data.repository, config, split, data.revision)


def path_of(task: Task, data: Data, split: str, *, dataset: str | None = None) -> Path:
    """`<root>/glue/<task>/<split>.parquet`; of kinds that GLUE lacks `<root>/<task>/<split>.parquet`."""
    assert data.root is not None
    root = Path(data.root) / "glue" if kinds.of(task).is_glue else Path(data.root)
    return root / (dataset or task.name) / f"{split}.parquet"


def check(tables: Mapping[str, Named], task: Task) -> dict[str, pd.DataFrame]:
    """The rows of each split. Raises DataError with the problems of all of them."""
    frames, problems = {}, []
    for split, (source, rows) in tables.items():
        try:
            training = split == TRAIN
            frames[split] = kinds.of(task).read(rows, task, source=source, training=training)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return frames
