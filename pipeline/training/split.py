"""The splits that one model is trained with, tokenized, and what is written about them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import files, paths
from pipeline.data.encode import Encoded, encode
from pipeline.data.tables import read_split
from pipeline.evaluation import score
from pipeline.params import DataKind, Task


@dataclass(frozen=True)
class TaskData:
    """Attributes:
    train: the rows to learn from.
    selection: rows held out of train, on which the checkpoint is chosen.
    digests: sha256 of both files, and the kind of data.
    """

    train: Encoded
    selection: Encoded
    digests: dict[str, str]


def load(task: Task, kind: DataKind, tokenizer_folder: Path) -> TaskData:
    """Read and tokenize; every file is checked against its folder's manifest first."""
    plain, chosen = paths.data_dir(task.name, "plain"), paths.data_dir(task.name, kind)
    found = digests(task, kind)
    train, selection = (
        encode(read_split(folder, name), task.sentence_columns, tokenizer_folder, max_length=task.max_length)
        for folder, name in ((chosen, "train"), (plain, "selection"))
    )
    return TaskData(train, selection, found)


def digests(task: Task, kind: DataKind) -> dict[str, str]:
    """sha256 of the files that `load` reads, checked against the manifests, and the kind of data."""
    plain = files.verify(paths.data_dir(task.name, "plain"))
    chosen = plain if kind == "plain" else files.verify(paths.data_dir(task.name, kind))
    return {"kind": kind, "train": chosen["train.parquet"], "selection": plain["selection.parquet"]}


def score_on(split: Encoded, task: Task, model: Any) -> score.Scored:
    """The task's metrics of a model on one split."""
    return score.score(model, split, list(task.metrics), regression=task.kind == "regression")
