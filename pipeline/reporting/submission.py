"""`bitladder submit RUNG`: a packed model's answers on a GLUE task's unlabelled test splits, for its server.

One .tsv for each test split, with the columns `index` and `prediction`: the server's words where it wants
words, numbers of labels elsewhere, for STS-B similarities from 0 to 5 (as GLUE's own baselines write them,
github.com/nyu-mll/GLUE-baselines). An MNLI model also answers the diagnostic set (AX.tsv). What the server
gets is one archive of the files of all tasks.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bitladder import files
from pipeline import params_file, paths
from pipeline.params import Task
from pipeline.reporting.columns import NAMES

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.kinds.metrics import Array


class Sheet(NamedTuple):
    """A file for the server: its name, and the data set and split that it answers."""

    name: str
    dataset: str
    split: str


DIAGNOSTIC = Sheet("AX.tsv", "ax", "test")  # left out where its split is not there
SHEETS = {task: [Sheet(f"{name}.tsv", task, "test")] for task, name in NAMES.items() if "mnli" not in task}
SHEETS["mnli"] = [
    Sheet("MNLI-m.tsv", "mnli", "test_matched"),
    Sheet("MNLI-mm.tsv", "mnli", "test_mismatched"),
    DIAGNOSTIC,
]
IN_WORDS = ("mnli", "qnli", "rte")  # the others in numbers


def main(rung: str, root: Path | None, output: Path) -> int:
    """Write the task's files into `output`; say how many answers each holds.

    Raises:
        ValueError: the task is none of GLUE's, or there is no such rung.
        FileNotFoundError, IntegrityError, HubError, DataError: a test split cannot be had or used.
    """
    from pipeline.data import sources

    settings = params_file.load(paths.PARAMS)
    if settings.task.name not in SHEETS:
        raise ValueError(f"task.name: {settings.task.name} is none of GLUE's; known: {', '.join(SHEETS)}")
    if rung not in settings.deliver:
        raise ValueError(f"no packed rung {rung!r}; known: {', '.join(settings.deliver)}")
    task, data = settings.task, settings.data
    if root is not None:
        data = data.model_copy(update={"source": "path", "root": str(root)})
    for sheet in SHEETS[task.name]:
        may_be_missing = sheet == DIAGNOSTIC and data.source == "path"
        if may_be_missing and not sources.path_of(task, data, sheet.split, dataset=sheet.dataset).is_file():
            continue
        frame = sources.unlabelled(task, data, sheet.split, dataset=sheet.dataset)
        path = output / sheet.name
        files.write_text(path, tsv(frame["idx"].tolist(), answers(task, rung, frame)))
        sys.stdout.write(f"{path}: {len(frame)} answers of {rung} on {sheet.dataset} {sheet.split}\n")
    return 0


def answers(task: Task, rung: str, frame: "pd.DataFrame") -> list[str]:
    """The packed rung's answer to each row, as the server writes it."""
    from bitladder.transformers_model.model import load
    from pipeline.tasks import scoring
    from pipeline.training.device import device

    folder = paths.packed_dir(rung)
    model = load(folder)
    model.to(device())  # type: ignore[arg-type]
    return written(task, scoring.logits(model, scoring.read(frame, task, folder).encoded))


def written(task: Task, logits_NL: "Array") -> list[str]:
    """One answer per row of logits."""
    if task.range is not None:
        low, high = task.range
        return [f"{min(max(value, low), high):.3f}" for value in logits_NL[:, 0].tolist()]
    numbers = logits_NL.argmax(axis=1).tolist()
    return [task.label_names[number] if task.name in IN_WORDS else str(number) for number in numbers]


def tsv(index: Sequence[int], predictions: Sequence[str]) -> str:
    """The file's text, in the order of the index."""
    rows = sorted(zip(index, predictions, strict=True))
    return "\n".join(["index\tprediction", *(f"{number}\t{answer}" for number, answer in rows)]) + "\n"
