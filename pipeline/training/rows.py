"""The rows that one model is trained with, tokenized: to learn from, and to choose its checkpoint on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bitladder import files
from pipeline import kinds, paths
from pipeline.data.tables import read_split
from pipeline.kinds.metrics import Array
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
    taught: what a teacher puts out for the selection rows, where these have no labels and are scored by it.
    """

    task: Task
    train: Encoded
    selection: scoring.Split
    digests: dict[str, str]
    taught: Array | None = None

    def judged_by(self, teacher: Any) -> "TaskData":
        """The same, scored by how near a model comes to this one, where the kind of task has no labels."""
        if kinds.of(self.task).has_labels:
            return self
        return replace(self, taught=scoring.logits(teacher, self.selection.encoded))

    def score(self, model: Any) -> Scored:
        """The task's metrics of a model on the split that it is chosen by."""
        if self.taught is not None:
            return scoring.score_by(self.taught, model, self.selection)
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
