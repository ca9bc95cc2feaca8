"""metrics/errors.json: where each model errs, and on which rows it is furthest from its teacher.

All of the first validation split, from the answers that `evaluate` has at hand. Rows are told by their
number; answers to questions are words of the data, so git is not given this file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from bitladder import files
from bitladder.heads import sigmoid
from pipeline import kinds, paths
from pipeline.kinds.metrics import Array
from pipeline.params import Task
from pipeline.record import read_as
from pipeline.rungs import TEACHER

if TYPE_CHECKING:
    from pipeline.tasks.scoring import Scored

ERRORS = paths.METRICS / "errors.json"
FURTHEST = 12  # rows that are kept of each model

# What `FarRow.distance` is, by how many axes logits have and by the loss.
_PROBABILITIES = "half the sum of the differences of all labels' probabilities, from 0 to 1"
_LABELS = "the largest difference of a probability, from 0 to 1"
_NUMBERS = "the difference of the two numbers"
_COUNTS = "the largest difference of what the score of the row is made of"


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FarRow(_Written):
    """One row: its number in the split, what is right, and what the teacher and the model say, in words."""

    row: int
    distance: float
    truth: str
    teacher: str
    model: str


class OfModel(_Written):
    """One model's errors.

    Attributes:
        wrong: by class, rows of it that are answered wrong; None where there are no classes.
        only_teacher, only_model: rows that this one of the two alone has right; None where answers are
            numbers.
        furthest: the rows on which it is furthest from the teacher, the furthest first.
    """

    wrong: dict[str, int] | None
    only_teacher: int | None
    only_model: int | None
    furthest: list[FarRow]


class Errors(_Written):
    """Attributes:
    split: that all of it is of.
    classes: rows of each class; None where there are no classes.
    distance: what it is, in words.
    """

    format: Literal[1]
    split: str
    classes: dict[str, int] | None
    distance: str
    models: dict[str, OfModel]


def found(task: Task, scored: Mapping[str, "Scored"]) -> Errors:
    """Of every model whose answers are defined; `scored` has the teacher."""
    kind, teacher = kinds.of(task), scored[TEACHER]
    classes = kind.classes(teacher.truth, teacher.truth, task)
    defined = {name: own for name, own in scored.items() if own.answers and teacher.answers}
    return Errors(
        format=1,
        split=task.validation_splits[0],
        classes=None if classes is None else {name: rows for name, (rows, _) in classes.items()},
        distance=_distances(task, teacher, teacher)[1],
        models={name: _of_model(task, own, teacher) for name, own in defined.items()},
    )


def write(errors: Errors) -> None:
    files.write_json(ERRORS, errors.model_dump(mode="json"))


def read(path: Path = ERRORS) -> Errors:
    """Raises FileNotFoundError, and OtherFormatError when another version wrote it."""
    return read_as(Errors, path, remedy="dvc repro evaluate")


def _of_model(task: Task, own: "Scored", teacher: "Scored") -> OfModel:
    kind = kinds.of(task)
    classes = kind.classes(own.answers, own.truth, task)
    right, teachers = kind.right(own.answers, own.truth), kind.right(teacher.answers, teacher.truth)
    return OfModel(
        wrong=None if classes is None else {name: wrong for name, (_, wrong) in classes.items()},
        only_teacher=None if right is None or teachers is None else int((teachers & ~right).sum()),
        only_model=None if right is None or teachers is None else int((right & ~teachers).sum()),
        furthest=_furthest(task, own, teacher),
    )


def _furthest(task: Task, own: "Scored", teacher: "Scored") -> list[FarRow]:
    distances_N, _ = _distances(task, own, teacher)
    if distances_N is None:
        return []
    kind = kinds.of(task)
    order = np.argsort(-distances_N, kind="stable")[:FURTHEST].tolist()
    return [
        FarRow(
            row=row,
            distance=float(distances_N[row]),
            truth=kind.truth_in_words(own.truth[row], task),
            teacher=kind.in_words(teacher.answers[row], task),
            model=kind.in_words(own.answers[row], task),
        )
        for row in order
        if distances_N[row] > 0
    ]


def _distances(task: Task, own: "Scored", teacher: "Scored") -> tuple[Array | None, str]:
    """[N], one for each answer, and what they are; None where there is no answer to each row."""
    loss, logits, others = kinds.of(task).loss, own.logits, teacher.logits
    if logits.ndim == 2 and loss == "cross_entropy":
        return np.abs(_softmax(logits) - _softmax(others)).sum(axis=1) / 2, _PROBABILITIES
    if logits.ndim == 2 and loss == "binary_cross_entropy":
        return np.abs(sigmoid(logits) - sigmoid(others)).max(axis=1), _LABELS
    if logits.ndim == 2 and loss == "squared_error":
        return np.abs(logits[:, 0] - others[:, 0]), _NUMBERS
    if own.examples_NK is None or teacher.examples_NK is None or len(own.examples_NK) != len(own.answers):
        return None, _COUNTS
    return np.abs(own.examples_NK - teacher.examples_NK).max(axis=1), _COUNTS


def _softmax(logits_NL: Array) -> Array:
    powers_NL = np.exp(logits_NL - logits_NL.max(axis=1, keepdims=True))
    found: Array = powers_NL / powers_NL.sum(axis=1, keepdims=True)
    return found
