"""The rows that one model is trained with, tokenized: to learn from, and to choose its checkpoint on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitladder import files
from pipeline import paths
from pipeline.data.tables import read_split
from pipeline.params import Task
from pipeline.rungs import DataKind
from pipeline.tasks import scoring
from pipeline.tasks.batches import Encoded
from pipeline.tasks.scoring import Scored


@dataclass(frozen=True)
class TaskData:
    """Attributes:
    train: the rows to learn from; windows of questions, where there are questions.
    selection: rows on which the checkpoint is chosen, held out of train unless params.yaml says otherwise.
    digests: sha256 of both files, and the kind of data.
    """

    task: Task
    train: Encoded
    selection: scoring.Split
    digests: dict[str, str]

    def score(self, model: Any) -> Scored:
        """The task's metrics of a model on the split that it is chosen by."""
        return scoring.score(model, self.selection, self.task)


def load(task: Task, kind: DataKind, tokenizer_folder: Path) -> TaskData:
    """Read and tokenize; every file is checked against its folder's manifest first."""
    found = digests(task, kind)
    train, selection = (
        scoring.read(read_split(paths.data_dir(task.name, folder), name), task, tokenizer_folder)
        for folder, name in ((kind, "train"), ("plain", "selection"))
    )
    return TaskData(task, train.encoded, selection, found)


def digests(task: Task, kind: DataKind) -> dict[str, str]:
    """sha256 of the files that `load` reads, checked against the manifests, and the kind of data."""
    plain = files.verify(paths.data_dir(task.name, "plain"))
    chosen = plain if kind == "plain" else files.verify(paths.data_dir(task.name, kind))
    return {"kind": kind, "train": chosen["train.parquet"], "selection": plain["selection.parquet"]}
