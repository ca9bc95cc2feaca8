"""What there is to publish: trained models, packed ones and their results, read and verified from disk.

An execution is the state of the ladder at one moment. It and each of its models are named by a key, a
digest of their files and results, so that the same state read twice, or restored from DVC's cache, is the
same thing to MLflow. Folders of rungs that params.yaml no longer names are not part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bitladder import files
from pipeline import paths, record
from pipeline.evaluation import results
from pipeline.evaluation.results import ClaimResult, ModelResult, Results
from pipeline.params import Params
from pipeline.paths import WEIGHTS
from pipeline.record import Record
from pipeline.rungs import PRETRAINED, TEACHER, climb


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
    result: ModelResult | None

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def key(self) -> str:
        return files.digest([self.files, self.packed, self.result.as_dict() if self.result else None])


@dataclass(frozen=True)
class Execution:
    """Every model of the ladder, parents before children; what they were evaluated on; what was claimed."""

    task: str
    models: tuple[Model, ...]
    evaluated_on: str | None
    claims: Sequence[ClaimResult] = ()

    @property
    def key(self) -> str:
        models = sorted((model.name, model.key) for model in self.models)
        return files.digest([self.task, *models, *(claim.as_dict() for claim in self.claims)])


def registered_model(task: str) -> str:
    """MLflow's registered model for a task; slashes are not allowed there."""
    return f"bitladder-{task}"


def read(params: Params) -> Execution:
    """Read and verify every model that params.yaml names and that has been trained.

    Raises:
        IntegrityError: a folder, a packed copy, a result or a parent is not what the records say.
        OtherFormatError: a record or the results are those of another version.
    """
    evaluated = read_results(params.task.name)
    found = [
        _model(name, params.deliver, evaluated) for name in names(params) if paths.model_dir(name).is_dir()
    ]
    _check_parents(found)
    claims = evaluated.claims if evaluated else []
    return Execution(params.task.name, tuple(found), evaluated_on(params), claims)


def read_results(task: str) -> Results | None:
    """metrics/results.json; None when nothing was evaluated yet.

    Raises:
        IntegrityError: the results are those of another task.
        OtherFormatError: they are those of another version.
    """
    if not paths.RESULTS.is_file():
        return None
    found = results.read()
    if found.task != task:
        raise files.IntegrityError(
            f"{paths.RESULTS}: results of task {found.task!r}, params.yaml says {task!r}; run dvc repro"
        )
    return found


def names(params: Params) -> list[str]:
    """Every model of the ladder by name, each after its parent."""
    return [PRETRAINED, TEACHER, *climb(params.rungs)]


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
    folders = sorted(path.parent for path in paths.MODELS.glob(f"[!.]*/{record.RECORD}"))
    return {own.name: own.digest for own in map(record.read, folders) if own.task == task}


def _model(name: str, deliver: list[str], evaluated: Results | None) -> Model:
    folder = paths.model_dir(name)
    verified = files.verify(folder)
    own = record.read(folder)
    if own.name != name or own.digest != verified.get(WEIGHTS):
        raise files.IntegrityError(
            f"{folder / record.RECORD}: describes {own.name!r} with {WEIGHTS} {own.digest}, "
            f"found {name!r} with {verified.get(WEIGHTS)}"
        )
    packed = None
    if name in deliver and (delivered := paths.packed_dir(name)).is_dir():
        packed = files.verify(delivered)
        if record.read(delivered) != own:
            raise files.IntegrityError(f"{delivered}: packed from another model than {folder}; run dvc repro")
    result = evaluated.models.get(name) if evaluated else None
    if result is not None and result.digest not in (own.digest, (packed or {}).get(WEIGHTS)):
        raise files.IntegrityError(
            f"{paths.RESULTS}: {name} was evaluated as {result.digest}, its files are {own.digest}; "
            "run dvc repro"
        )
    return Model(own, folder, verified, packed, result)


def _check_parents(models: list[Model]) -> None:
    """Raises IntegrityError unless each was made from one before it."""
    digests: dict[str, str] = {}
    for own in (model.record for model in models):
        if own.parent is not None and digests.get(own.parent) != own.parent_digest:
            raise files.IntegrityError(
                f"models/{own.name}: made from {own.parent} {own.parent_digest}, but models/{own.parent} "
                f"is now {digests.get(own.parent, 'missing')}; run dvc repro"
            )
        digests[own.name] = own.digest
