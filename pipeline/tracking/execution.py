"""What there is to publish: trained models, packed ones and their results, read and verified from disk.

An execution is the state of the ladder at one moment. It and each of its models are named by a key, a
digest of their files and results, so that the same state read twice, or restored from DVC's cache, is the
same thing to MLflow. Folders of rungs that params.yaml no longer names are not part of it.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bitladder import files
from pipeline import paths, record
from pipeline.evaluation.results import check
from pipeline.params import Params
from pipeline.record import Record

RESULTS = paths.RESULTS
WEIGHTS = paths.WEIGHTS


def experiment(task: str) -> str:
    """MLflow's experiment for a task."""
    return f"bitladder/{task}"


def registered_model(task: str) -> str:
    """MLflow's registered model for a task; slashes are not allowed there."""
    return f"bitladder-{task}"


@dataclass(frozen=True)
class Model:
    """One verified model.

    Attributes:
        files: sha256 by name of everything in `models/<name>/`.
        packed: the same for `packed/<name>/`; None when it is not delivered.
        result: its entry in metrics/results.json, if it was evaluated.
    """

    record: Record
    folder: Path
    files: dict[str, str]
    packed: dict[str, str] | None
    result: dict[str, Any] | None

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def key(self) -> str:
        return files.digest([self.files, self.packed, self.result])

    @property
    def score(self) -> float | None:
        """The packed model's score; None when there is none or it is not a finite number."""
        return finite((self.result or {}).get("score"))

    @property
    def num_seeds(self) -> int:
        """How many trainings, each from its own seed, `mean` is of."""
        return int(self._seeds.get("num_seeds", 1))

    @property
    def mean(self) -> float | None:
        """Of the scores of several seeds; None with one, or where the score of one is undefined."""
        return finite(self._seeds.get("mean")) if self.num_seeds > 1 else None

    @property
    def collapsed(self) -> list[str]:
        """The seeds from which it gives one answer to all rows."""
        if not self.result:
            return []
        own = {str(self.result["seed"]): self.result["collapsed"]}
        return [seed for seed, is_so in self._seeds.get("collapsed", own).items() if is_so]

    @property
    def _seeds(self) -> dict[str, Any]:
        return (self.result or {}).get("seeds") or {}

    @property
    def mib(self) -> float | None:
        """Size of the weights file that `evaluate` measured."""
        return finite((self.result or {}).get("mib"))


@dataclass(frozen=True)
class Execution:
    """Every model of the ladder, parents before children, what they were evaluated on, and what was claimed.

    `claims`: as metrics/results.json has them.
    """

    task: str
    models: tuple[Model, ...]
    evaluated_on: str | None
    claims: tuple[dict[str, Any], ...] = ()

    @property
    def key(self) -> str:
        models = sorted((model.name, model.key) for model in self.models)
        return files.digest([self.task, *models, *self.claims])


def read(params: Params) -> Execution:
    """Read and verify every model that params.yaml names and that has been trained.

    Raises:
        IntegrityError: a folder, a packed copy, a result or a parent is not what the records say.
        OtherFormatError: the results are those of another version.
    """
    evaluated = results(params.task.name)
    found = [
        _model(name, params.deliver, evaluated) for name in names(params) if paths.model_dir(name).is_dir()
    ]
    return Execution(params.task.name, _parents_first(found), evaluated_on(params), tuple(_claims(evaluated)))


def results(task: str) -> dict[str, Any]:
    """Entries of metrics/results.json by model; empty when nothing was evaluated yet.

    Raises:
        IntegrityError: the results are those of another task.
    """
    if not RESULTS.is_file():
        return {}
    found = files.read_json(RESULTS)
    if found.get("task") != task:
        raise files.IntegrityError(
            f"{RESULTS}: results of task {found.get('task')!r}, params.yaml says {task!r}; run dvc repro"
        )
    models: dict[str, Any] = found["models"]
    return models


def names(params: Params) -> list[str]:
    """Every model of the ladder, by name."""
    return ["pretrained", "teacher", *params.rungs]


def evaluated_on(params: Params) -> str | None:
    """Digest of the validation splits' bytes, as the manifest gives them; None when the data is not there.

    Scores of two models are comparable only when this is the same.
    """
    manifest = paths.data_dir(params.task.name, "plain") / files.MANIFEST
    if not manifest.is_file():
        return None
    entries = files.read_json(manifest)["files"]
    return files.digest(
        [entries.get(f"{split}.parquet", {}).get("sha256") for split in params.task.validation_splits]
    )


def digests(task: str) -> dict[str, str]:
    """sha256 of the weights, as its record gives it, of every model of the task that lies in `models/`."""
    folders = [path.parent for path in paths.MODELS.glob(f"[!.]*/{record.RECORD}")]
    found = [record.read(folder) for folder in sorted(folders)]
    return {own.name: own.digest for own in found if own.task == task}


def fingerprint(params: Params) -> str:
    """Digest of the manifests and results alone: equal means nothing to publish. Reads no weights."""
    folders = [paths.data_dir(params.task.name, "plain"), *map(paths.model_dir, names(params))]
    folders += map(paths.packed_dir, params.deliver)
    contents = [_content(folder / files.MANIFEST) for folder in folders]
    return files.digest([params.task.model_dump(mode="json"), params.deliver, contents, _content(RESULTS)])


def finite(value: Any) -> float | None:
    """`value` as a float if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _claims(evaluated: dict[str, Any]) -> list[dict[str, Any]]:
    if not evaluated:
        return []
    found = files.read_json(RESULTS)
    check(found, RESULTS)
    return list(found.get("claims", []))


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _model(name: str, deliver: list[str], evaluated: dict[str, Any]) -> Model:
    folder = paths.model_dir(name)
    verified = files.verify(folder)
    own = record.read(folder)
    if own.name != name or own.digest != verified.get(WEIGHTS):
        raise files.IntegrityError(
            f"{folder / record.RECORD}: describes {own.name!r} with {WEIGHTS} {own.digest}, "
            f"found {name!r} with {verified.get(WEIGHTS)}"
        )
    packed = _packed(own) if name in deliver and paths.packed_dir(name).is_dir() else None
    _check_result(own, packed, evaluated.get(name))
    return Model(own, folder, verified, packed, evaluated.get(name))


def _packed(own: Record) -> dict[str, str]:
    folder = paths.packed_dir(own.name)
    verified = files.verify(folder)
    if asdict(record.read(folder)) != asdict(own):
        raise files.IntegrityError(
            f"{folder}: packed from another model than models/{own.name}; run dvc repro"
        )
    return verified


def _check_result(own: Record, packed: dict[str, str] | None, result: dict[str, Any] | None) -> None:
    stated = (result or {}).get("digest")
    allowed = {own.digest, (packed or {}).get(WEIGHTS)}
    if stated is not None and stated not in allowed:
        raise files.IntegrityError(
            f"{RESULTS}: {own.name} was evaluated as {stated}, its files are {own.digest}; run dvc repro"
        )


def _parents_first(models: list[Model]) -> tuple[Model, ...]:
    by_name = {model.name: model for model in models}
    ordered: dict[str, Model] = {}

    def place(model: Model, below: tuple[str, ...]) -> None:
        if model.name in below:
            raise files.IntegrityError(f"models: {' <- '.join((*below, model.name))} is a circle of parents")
        if model.name not in ordered:
            if model.record.parent is not None:
                place(_parent(model.record, by_name), (*below, model.name))
            ordered[model.name] = model

    for model in models:
        place(model, ())
    return tuple(ordered.values())


def _parent(child: Record, by_name: dict[str, Model]) -> Model:
    parent = by_name.get(child.parent or "")
    if parent is None:
        raise files.IntegrityError(f"models/{child.name}: its parent models/{child.parent} is missing")
    if parent.record.digest != child.parent_digest:
        raise files.IntegrityError(
            f"models/{child.name}: made from {child.parent} {child.parent_digest}, but models/{child.parent} "
            f"is now {parent.record.digest}; run dvc repro"
        )
    return parent
