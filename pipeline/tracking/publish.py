"""Everything an execution knows, written to MLflow once.

    experiment bitladder/<task>
      run "execution-...": settings, every score, the verdict on each claim, results.json, report.html
        a run per model: params, metrics by step, final scores; its parent as model input
          its logged model, and a registered version if it is delivered (registry.py)

A model's run is found again by its key (execution.py), so a model that did not change keeps the run of the
execution that first had it. A live run that showed its training (live_runs.py) becomes its run. Every step
here may be repeated: a publication that was killed is completed by the next one, on the same runs.

The logged model of a delivered rung has the packed folder, as it is, and the code that serves it
(served_model.py), so nothing is pickled. That of any other model has record.json alone; its weights stay in
DVC. It is READY only after MLflow took every file, and an upload that was cut short is repeated.
"""

import logging
import tempfile
import warnings
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitladder import files
from bitladder.answers import KINDS
from pipeline import paths
from pipeline.ladder.claims import qualified
from pipeline.params import Params
from pipeline.record import RECORD
from pipeline.tracking import descriptions, fields, live_runs, registry, store
from pipeline.tracking.execution import Execution, Model
from pipeline.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

KEY = "bitladder.key"
REPORT = "bitladder.report"  # tag of an execution's run: digest of the report that it has
# numba where there are kernels, torch and transformers where there are none.
SERVED_WITH = ("numba", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "pydantic")
logger = logging.getLogger(__name__)


@dataclass
class Published:
    """What MLflow holds of an execution, by model name, and what of it is new."""

    execution_run: str
    runs: dict[str, str] = field(default_factory=dict)
    logged_models: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    new_runs: list[str] = field(default_factory=list)
    new_versions: list[str] = field(default_factory=list)


def publish(
    client: "MlflowClient", place: Store, found: Execution, params: Params, page: Path | None = None
) -> Published:
    """Write what MLflow does not hold yet. The caller holds the publishing lock. `page`: the report."""
    experiment_id = store.experiment(client, place, found.task)
    run = _execution_run(client, experiment_id, found, params)
    report = _report(client, experiment_id, run, page)
    _describe_execution(client, run, descriptions.of_execution(found, params, report))
    published = Published(run.info.run_id)
    for model in found.models:
        parent = published.logged_models.get(model.record.parent or "")
        tags = fields.tags(model, found.evaluated_on)
        tags |= {"bitladder.init_from_model_id": parent} if parent else {}
        own, logged = _model_run(client, experiment_id, model, tags, published)
        note = descriptions.of_model(model, report)
        if own.info.status != "FINISHED":
            client.set_tag(own.info.run_id, descriptions.NOTE, note)
            _describe_model(client, model, own, logged, parent)
        _upload(client, model, logged, params)
        if model.packed is not None:
            published.versions[model.name], is_new = registry.ensure_version(
                client, model, logged, tags, note
            )
            published.new_versions += [model.name] if is_new else []
        _finish(client, own)
        _take_over_live_runs(client, experiment_id, model, own)
        published.runs[model.name] = own.info.run_id
        published.logged_models[model.name] = logged.model_id
        is_new = model.name in published.new_runs
        logger.info("register: %s %s", model.name, "published" if is_new else "unchanged")
    if published.versions:
        registry.describe(client, found.task, descriptions.of_registered(found.task, report))
    _link_outputs(client, run, list(published.logged_models.values()))
    _finish(client, run)
    return published


def logged_models(client: "MlflowClient", experiment_id: str, tag: str, value: str) -> list["LoggedModel"]:
    """Logged models of an experiment by one of our tags, in an order that does not depend on time."""
    query = {"experiment_ids": [experiment_id], "filter_string": f"tags.`bitladder.{tag}` = '{value}'"}
    return sorted(store.pages(client.search_logged_models, **query), key=lambda model: model.model_id)


def _execution_run(client: "MlflowClient", experiment_id: str, found: Execution, params: Params) -> "Run":
    run = _find_run(client, experiment_id, found.key)
    if run is None:
        tags = {KEY: found.key, "bitladder.task": found.task, **_origin()}
        run = client.create_run(experiment_id, run_name=f"execution-{found.key[:8]}", tags=tags)
    if run.info.status == "FINISHED":
        return run
    settings = params.model_dump(
        mode="json", include={"task", "model", "budget", "seed", "seeds", "evaluation"}
    )
    values = {**fields.flat(settings), "models": " ".join(model.name for model in found.models)}
    numbers = [(f"score/{model.name}", model.result.score) for model in found.models if model.result]
    for claim in found.claims:
        key = f"claim/{claim.claim}/{'-over-'.join(claim.rungs)}"
        values[key] = qualified(claim.verdict, claim.unequal)
        numbers += [(f"{key}/difference", claim.difference), (f"{key}/margin", claim.margin)]
    _log(client, run, values, [fields.Point(key, value) for key, value in numbers])
    if paths.RESULTS.is_file():
        client.log_artifact(run.info.run_id, str(paths.RESULTS))
    return run


def _report(client: "MlflowClient", experiment_id: str, run: "Run", page: Path | None) -> str | None:
    """Give the execution's run the page, unless it has it; where it is then."""
    if page is None:
        return None
    digest = files.sha256(page)
    if run.data.tags.get(REPORT) != digest:
        client.log_artifact(run.info.run_id, str(page))
        client.set_tag(run.info.run_id, REPORT, digest)
    return descriptions.report_page(experiment_id, run.info.run_id, page)


def _describe_execution(client: "MlflowClient", run: "Run", note: str) -> None:
    if run.data.tags.get(descriptions.NOTE) != note:
        client.set_tag(run.info.run_id, descriptions.NOTE, note)


def _model_run(
    client: "MlflowClient", experiment_id: str, model: Model, tags: dict[str, str], published: Published
) -> tuple["Run", "LoggedModel"]:
    """The model's run and its logged model, found or made; a live run that showed its training becomes it."""
    from mlflow.entities import RunTag

    run = _find_run(client, experiment_id, model.key)
    if run is None:
        own = {**tags, "mlflow.parentRunId": published.execution_run}
        live = _live_runs(client, experiment_id, model)
        if live:  # running until everything else is there too
            client.update_run(live[0].info.run_id, status="RUNNING")
            store.log(client, live[0], tags=[RunTag(key, value) for key, value in own.items()])
            run = client.get_run(live[0].info.run_id)
        else:
            run = client.create_run(experiment_id, run_name=model.name, tags=own)
        published.new_runs.append(model.name)
    for found in logged_models(client, experiment_id, "key", model.key):
        if found.source_run_id == run.info.run_id:
            return run, found
    return run, client.create_logged_model(
        experiment_id,
        name=model.name,
        source_run_id=run.info.run_id,
        tags=tags,
        params=fields.params(model.record),
        model_type=model.record.stage,
    )


def _find_run(client: "MlflowClient", experiment_id: str, key: str) -> "Run | None":
    runs = store.runs(client, experiment_id, {KEY: key})
    return min(runs, key=lambda run: run.info.status != "FINISHED", default=None)


def _live_runs(client: "MlflowClient", experiment_id: str, model: Model) -> list["Run"]:
    """Those that show the model's training, the most complete first."""
    curve = {(point.key, point.step): point.value for point in fields.points(model)}
    live = live_runs.runs(client, experiment_id, live_runs.of_model(model.name))
    return [run for run, held in live if held and held.items() <= curve.items()]


def _take_over_live_runs(client: "MlflowClient", experiment_id: str, model: Model, own: "Run") -> None:
    """The model is published: of the runs that showed its training, its own is live no more, others go."""
    for run in _live_runs(client, experiment_id, model):
        if run.info.run_id == own.info.run_id:
            client.delete_tag(run.info.run_id, live_runs.LIVE)
        else:
            client.delete_run(run.info.run_id)


def _describe_model(
    client: "MlflowClient", model: Model, run: "Run", logged: "LoggedModel", parent: str | None
) -> None:
    from mlflow.entities import LoggedModelInput

    _log(client, run, fields.params(model.record), fields.points(model), logged.model_id)
    inputs = client.get_run(run.info.run_id).inputs
    linked = [entry.model_id for entry in inputs.model_inputs] if inputs else []
    if parent is not None and parent not in linked:
        client.log_inputs(run.info.run_id, models=[LoggedModelInput(parent)])
    _link_outputs(client, run, [logged.model_id])


def _log(
    client: "MlflowClient",
    run: "Run",
    params: dict[str, str],
    points: list[fields.Point],
    model_id: str | None = None,
) -> None:
    from mlflow.entities import Metric, Param

    at = run.info.start_time  # one time for all: MLflow keeps once what is logged again with the same
    metrics = [
        Metric(fields.legal_key(one.key), one.value, at, one.step, model_id=model_id if one.final else None)
        for one in points
        if one.value is not None
    ]
    store.log(client, run, metrics=metrics, params=[Param(fields.legal_key(k), v) for k, v in params.items()])


def _upload(client: "MlflowClient", model: Model, logged: "LoggedModel", params: Params) -> None:
    """Give `logged` its files, unless it has them."""
    if logged.status == "READY":
        return
    with tempfile.TemporaryDirectory() as staging:
        folder = Path(staging) / "model"
        if model.packed is None:
            files.write_text(folder / RECORD, (model.folder / RECORD).read_text(encoding="utf-8"))
        else:
            _write_served(model, logged, params, folder)
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")


def _write_served(model: Model, logged: "LoggedModel", params: Params, folder: Path) -> None:
    """Write `folder` as MLflow's format for models wants it."""
    import mlflow.pyfunc
    from mlflow.models import Model as Description

    task = params.task
    description = Description(
        artifact_path=logged.artifact_location,
        run_id=logged.source_run_id,
        model_id=logged.model_id,
        model_uuid=logged.model_id,
    )
    with warnings.catch_warnings():
        # It asks for an input example, to guess the signature that is given here.
        warnings.simplefilter("ignore", UserWarning)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"packed": str(paths.packed_dir(model.name))},
            signature=_signature(params),
            mlflow_model=description,
            model_config={"sentence_columns": list(task.sentence_columns), "max_length": task.max_length},
            pip_requirements=[f"{name}=={version(name)}" for name in SERVED_WITH if find_spec(name)],
        )


def _signature(params: Params) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    outputs = [ColSpec(kind, name) for name, kind in KINDS[params.task.kind].columns.items()]
    inputs = [ColSpec("string", column) for column in params.task.sentence_columns]
    return ModelSignature(inputs=Schema([*inputs]), outputs=Schema([*outputs]))


def _link_outputs(client: "MlflowClient", run: "Run", model_ids: list[str]) -> None:
    from mlflow.entities import LoggedModelOutput

    # MLflow refuses a link that is already there.
    outputs = client.get_run(run.info.run_id).outputs
    linked = [entry.model_id for entry in outputs.model_outputs] if outputs else []
    missing = [LoggedModelOutput(model_id, step=0) for model_id in model_ids if model_id not in linked]
    if missing:
        client.log_outputs(run.info.run_id, missing)


def _finish(client: "MlflowClient", run: "Run") -> None:
    """End the run when its training ended, if that was shown live; else at its own start.

    How long publishing took is nobody's training time.
    """
    if run.info.status != "FINISHED":
        ended = run.info.end_time or run.info.start_time
        client.set_terminated(run.info.run_id, "FINISHED", end_time=ended)


def _origin() -> dict[str, str]:
    """The commit and the DVC lock that the execution was published from, where there are any."""
    from mlflow.utils.git_utils import get_git_commit

    lock, commit = Path("dvc.lock"), get_git_commit(".")
    found = {"bitladder.git_commit": commit} if commit else {}
    return found | ({"bitladder.dvc_lock_digest": files.sha256(lock)} if lock.is_file() else {})
