"""From a rung back to the teacher and the pre-trained model, as MLflow knows it, checked against the records.

MLflow: a logged model was made by a run, that run has its parent as model input, and so on. Files:
record.json names the parent, the teacher and their digests. Each is complete by itself; a lineage is proved
when both say the same at every step and the files, packed ones too, are what their manifests promise. What
differs is told by name.
"""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bitladder import files
from pipeline import paths, record
from pipeline.evaluation.results import ModelResult, Results
from pipeline.paths import WEIGHTS
from pipeline.record import RECORD, Record
from pipeline.rungs import ROOTS
from pipeline.tracking import execution, fields
from pipeline.tracking.publish import logged_models

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel


class NotPublishedError(LookupError):
    """MLflow knows no model of that name."""

    exit_code = 1


@dataclass(frozen=True)
class Step:
    """One model of the chain: its record, its result if it was evaluated, and where MLflow has it."""

    record: Record
    result: ModelResult | None
    logged_model_id: str
    run_id: str

    def as_json(self) -> dict[str, Any]:
        """For `bitladder lineage --json`."""
        own = self.record
        return {
            "name": own.name,
            "stage": own.stage,
            "parent": own.parent,
            "taught_by": own.teacher,
            "bits": record.bits(own),
            "score": self.result.score if self.result else None,
            "mib": self.result.mib if self.result else None,
            "digest": own.digest,
            "init": [asdict(part) for part in own.init],
            "data": own.data,
            "logged_model_id": self.logged_model_id,
            "run_id": self.run_id,
        }


@dataclass
class Lineage:
    """The chain from the rung back to its root, and everything on which MLflow and the files disagree."""

    rung: str
    task: str
    chain: list[Step] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        return not self.disagreements

    def as_json(self) -> dict[str, Any]:
        """For `bitladder lineage --json`."""
        return {
            "rung": self.rung,
            "task": self.task,
            "verified": self.verified,
            "chain": [step.as_json() for step in self.chain],
            "disagreements": self.disagreements,
        }


def trace(client: "MlflowClient", task: str, rung: str) -> Lineage:
    """Walk back from the rung.

    Raises:
        NotPublishedError: MLflow holds no model of that name for the task.
        OtherFormatError: a record or the results are those of another version.
    """
    evaluated = execution.read_results(task)
    lineage = Lineage(rung, task)
    model: LoggedModel | None = _start(client, task, rung)
    seen: set[str] = set()
    while model is not None and model.model_id not in seen:
        seen.add(model.model_id)
        run = client.get_run(str(model.source_run_id))
        parents = run.inputs.model_inputs if run.inputs else []
        parent = client.get_logged_model(parents[0].model_id) if parents else None
        _check(lineage, model, parent, evaluated)
        lineage.disagreements += _packed_differences(client, model)
        model = parent
    if not {*ROOTS} & {step.record.name for step in lineage.chain}:
        lineage.disagreements.append(f"{rung}: the chain does not reach the teacher or the pre-trained model")
    return lineage


def _start(client: "MlflowClient", task: str, rung: str) -> "LoggedModel":
    """The logged model of today's weights, or, if the record was changed since, any of that name."""
    experiment = client.get_experiment_by_name(f"bitladder/{task}")
    known = logged_models(client, experiment.experiment_id, "name", rung) if experiment else []
    ready = [model for model in known if model.status == "READY"]
    if not ready:
        raise NotPublishedError(
            f"{rung}: MLflow has no model of that name for task {task}; run dvc repro register"
        )
    own = _record(rung)
    return next((model for model in ready if own and _tag(model, "digest") == own.digest), ready[0])


def _check(
    lineage: Lineage, model: "LoggedModel", parent: "LoggedModel | None", evaluated: Results | None
) -> None:
    name = _tag(model, "name") or model.name
    own = _record(name)
    if own is None:
        lineage.disagreements.append(f"{name}: {paths.model_dir(name) / RECORD} is missing; run dvc checkout")
        return
    result = evaluated.models.get(name) if evaluated else None
    lineage.chain.append(Step(own, result, model.model_id, str(model.source_run_id)))
    lineage.disagreements += [f"{name}: {text}" for text in _differences(model, own, parent)]
    teacher = _record(own.teacher) if own.teacher else None
    if teacher is not None and teacher.digest != own.teacher_digest:
        was = f"{own.teacher} {own.teacher_digest}"
        lineage.disagreements.append(f"{name}: taught by {was}, which is {teacher.digest} on disk")
    try:
        files.verify(paths.model_dir(name))
    except files.IntegrityError as error:
        lineage.disagreements.append(str(error))


def _differences(model: "LoggedModel", own: Record, parent: "LoggedModel | None") -> list[str]:
    """What MLflow says of a model against what its record says, in words."""
    wanted = {
        **fields.origin(own),
        "bitladder.record_digest": files.sha256(paths.model_dir(own.name) / RECORD),
    }
    keys = {"init_from", "init_from_digest", "teacher", "teacher_digest"}
    keys |= {key.removeprefix("bitladder.") for key in wanted}
    found = [(key, wanted.get(f"bitladder.{key}"), _tag(model, key)) for key in sorted(keys)]
    walked = [
        ("parent", own.parent, _tag(parent, "name")),
        ("parent's digest", own.parent_digest, _tag(parent, "digest")),
    ]
    return [
        f"{key} is {file} on disk, {mlflow} in MLflow"
        for key, file, mlflow in found + walked
        if file != mlflow
    ]


def _packed_differences(client: "MlflowClient", model: "LoggedModel") -> list[str]:
    """What is wrong with `packed/<name>/`, in words; nothing when there is no such folder.

    Weights that were packed or evaluated anew are logged anew, but a child's run keeps naming the parent
    that it was published with: so all that were made from the same weights count.
    """
    name = _tag(model, "name") or model.name
    folder = paths.packed_dir(name)
    if not folder.is_dir():
        return []
    try:
        actual = files.verify(folder).get(WEIGHTS)
    except files.IntegrityError as error:
        return [str(error)]
    same = logged_models(client, model.experiment_id, "digest", _tag(model, "digest") or "")
    stated = {_tag(entry, "packed_digest") for entry in same if _tag(entry, "name") == name}
    if actual in stated:
        return []
    known = " or ".join(sorted(digest for digest in stated if digest)) or None
    return [f"{name}: packed_digest is {actual} on disk ({folder / WEIGHTS}), {known} in MLflow"]


def _record(name: str) -> Record | None:
    try:
        return record.read(paths.model_dir(name))
    except FileNotFoundError:
        return None


def _tag(model: "LoggedModel | None", name: str) -> str | None:
    value = model.tags.get(f"bitladder.{name}") if model is not None else None
    return None if value is None else str(value)
