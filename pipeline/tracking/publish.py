"""Everything an execution knows, written to MLflow once.

    experiment bitladder/<task>
      run "execution-...": settings, the score of every rung, the verdict on each claim, results.json
        a run per model: params, metrics by step, final scores, data digests; its parent as model input
          its logged model (model_files.py), and a registered version if it is delivered (versions.py)

A model's run is found again by its key (execution.py), so a model that did not change keeps the run of the
execution that first had it. A live run that showed its training (live_runs.py) becomes its run. Every step
here may be repeated: a publication that was killed is completed by the next one, on the same runs.
"""

import logging
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitladder import files
from pipeline import paths
from pipeline.params import Params
from pipeline.tracking import execution, experiments, fields, live_runs, model_files, versions
from pipeline.tracking.execution import Execution, Model
from pipeline.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

KEY = "bitladder.key"
BATCH = 100
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


@dataclass(frozen=True)
class Target:
    """Where in MLflow an execution goes, and what does not change from model to model."""

    client: "MlflowClient"
    experiment_id: str
    execution_run: str
    params: Params
    evaluated_on: str | None
    live: list["Run"]


def publish(client: "MlflowClient", store: Store, found: Execution, params: Params) -> Published:
    """Write what MLflow does not hold yet. The caller holds the publishing lock."""
    experiment_id = experiments.ensure(client, store, found.task)
    run = _execution_run(client, experiment_id, found, params)
    live = live_runs.every(client, experiment_id)
    target = Target(client, experiment_id, run.info.run_id, params, found.evaluated_on, live)
    published = Published(run.info.run_id)
    for model in found.models:
        _publish_model(target, model, published)
    _link_outputs(client, run.info.run_id, list(published.logged_models.values()))
    _finish(client, run)
    return published


def find_logged_models(
    client: "MlflowClient", experiment_id: str, tag: str, value: str
) -> list["LoggedModel"]:
    """Logged models of an experiment by one of our tags, in an order that does not depend on time."""
    query = {"experiment_ids": [experiment_id], "filter_string": f"tags.`bitladder.{tag}` = '{value}'"}
    return sorted(versions.pages(client.search_logged_models, **query), key=lambda model: model.model_id)


def _publish_model(target: Target, model: Model, published: Published) -> None:
    client, parent = target.client, published.logged_models.get(model.record.parent or "")
    tags = {**fields.tags(model, target.evaluated_on), **_parent_tag(parent)}
    live = live_runs.of_model(client, target.live, model)
    run = _find_run(client, target.experiment_id, model.key)
    if run is None:
        run = _adopt(target, live[0], tags) if live else _create_run(target, model, tags)
        published.new_runs.append(model.name)
    logged = _logged_model(target, model, run, tags)
    if run.info.status != "FINISHED":
        _describe_run(client, model, run, logged, parent)
    model_files.upload(client, model, logged, target.params)
    if model.packed is not None:
        number, new = versions.ensure(client, model, logged, tags)
        published.versions[model.name] = number
        published.new_versions += [model.name] if new else []
    _finish(client, run)
    live_runs.replace(client, live, by=run)
    published.runs[model.name] = run.info.run_id
    published.logged_models[model.name] = logged.model_id
    logger.info(
        "register: %s %s", model.name, "published" if model.name in published.new_runs else "unchanged"
    )


def _execution_run(client: "MlflowClient", experiment_id: str, found: Execution, params: Params) -> "Run":
    run = _find_run(client, experiment_id, found.key)
    if run is None:
        tags = {KEY: found.key, "bitladder.task": found.task, **_source(), **_origin()}
        run = client.create_run(experiment_id, run_name=f"execution-{found.key[:8]}", tags=tags)
    if run.info.status != "FINISHED":
        _describe_execution(client, run, found, params)
    return run


def _describe_execution(client: "MlflowClient", run: "Run", found: Execution, params: Params) -> None:
    from mlflow.entities import Metric

    settings = params.model_dump(
        mode="json", include={"task", "model", "budget", "seed", "seeds", "evaluation"}
    )
    known = {key: fields.cut(value) for key, value in fields.flatten(settings) if value is not None}
    known["models"] = " ".join(model.name for model in found.models)
    _log_params(client, run, {**known, **fields.verdicts(found.claims)})
    scores = [(f"score/{model.name}", model.score) for model in found.models]
    numbers = [(key, value) for key, value in scores if value is not None] + fields.margins(found.claims)
    at = run.info.start_time
    for batch in _batches([Metric(key, value, at, 0) for key, value in numbers]):
        client.log_batch(run.info.run_id, metrics=batch)
    if execution.RESULTS.is_file():
        client.log_artifact(run.info.run_id, str(execution.RESULTS))


def _find_run(client: "MlflowClient", experiment_id: str, key: str) -> "Run | None":
    runs = client.search_runs([experiment_id], filter_string=f"tags.`{KEY}` = '{key}'")
    return min(runs, key=lambda run: (run.info.status != "FINISHED", run.info.run_id), default=None)


def _create_run(target: Target, model: Model, tags: dict[str, str]) -> "Run":
    own = _run_tags(target, tags)
    return target.client.create_run(target.experiment_id, run_name=model.name, tags=own)


def _adopt(target: Target, live: "Run", tags: dict[str, str]) -> "Run":
    """Make the live run the model's own, and RUNNING until everything else is there too."""
    from mlflow.entities import RunTag

    run_id, own = live.info.run_id, _run_tags(target, tags)
    target.client.update_run(run_id, status="RUNNING")
    target.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in own.items()])
    return target.client.get_run(run_id)


def _run_tags(target: Target, tags: dict[str, str]) -> dict[str, str]:
    return {**tags, **_source(), "mlflow.parentRunId": target.execution_run}


def _logged_model(target: Target, model: Model, run: "Run", tags: dict[str, str]) -> "LoggedModel":
    for found in find_logged_models(target.client, target.experiment_id, "key", model.key):
        if found.source_run_id == run.info.run_id:
            return found
    return target.client.create_logged_model(
        target.experiment_id,
        name=model.name,
        source_run_id=run.info.run_id,
        tags=tags,
        params=fields.params(model.record),
        model_type=model.record.stage,
    )


def _describe_run(
    client: "MlflowClient", model: Model, run: "Run", logged: "LoggedModel", parent: str | None
) -> None:
    _log_params(client, run, fields.params(model.record))
    _log_metrics(client, model, run, logged)
    client.log_inputs(run.info.run_id, datasets=_datasets(model))
    _link_parent(client, run, parent)
    _link_outputs(client, run.info.run_id, [logged.model_id])


def _log_params(client: "MlflowClient", run: "Run", values: dict[str, str]) -> None:
    from mlflow.entities import Param

    params = [Param(fields.legal_key(key), value) for key, value in values.items()]
    for batch in _batches(params):
        client.log_batch(run.info.run_id, params=batch)


def _log_metrics(client: "MlflowClient", model: Model, run: "Run", logged: "LoggedModel") -> None:
    from mlflow.entities import Metric

    # One timestamp for all: MLflow keeps a value once that is logged again with the same step and time.
    at = run.info.start_time
    metrics = [
        Metric(point.key, point.value, at, point.step, model_id=logged.model_id if point.final else None)
        for point in fields.points(model)
    ]
    for batch in _batches(metrics):
        client.log_batch(run.info.run_id, metrics=batch)


def _datasets(model: Model) -> list[Any]:
    """The Parquet files a model saw. MLflow has room for 36 characters of a digest; the tags have all 64."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    own = model.record
    source = f'{{"uri": "{paths.DATA.as_posix()}/{own.task}"}}'
    return [
        DatasetInput(
            Dataset(f"{own.task}/{own.data.get('kind', 'plain')}/{split}", digest[:32], "local", source),
            [InputTag("mlflow.data.context", split)],
        )
        for split, digest in sorted(own.data.items())
        if split != "kind"
    ]


def _link_parent(client: "MlflowClient", run: "Run", parent: str | None) -> None:
    from mlflow.entities import LoggedModelInput

    inputs = client.get_run(run.info.run_id).inputs
    linked = {entry.model_id for entry in inputs.model_inputs} if inputs else set()
    if parent is not None and parent not in linked:
        client.log_inputs(run.info.run_id, models=[LoggedModelInput(parent)])


def _link_outputs(client: "MlflowClient", run_id: str, model_ids: list[str]) -> None:
    from mlflow.entities import LoggedModelOutput

    # MLflow refuses a link that is already there.
    outputs = client.get_run(run_id).outputs
    linked = {entry.model_id for entry in outputs.model_outputs} if outputs else set()
    missing = [LoggedModelOutput(model_id, step=0) for model_id in model_ids if model_id not in linked]
    if missing:
        client.log_outputs(run_id, missing)


def _finish(client: "MlflowClient", run: "Run") -> None:
    """End the run when its training ended, if that was shown live; else at its own start.

    How long publishing took is nobody's training time.
    """
    if run.info.status != "FINISHED":
        ended = run.info.end_time or run.info.start_time
        client.set_terminated(run.info.run_id, "FINISHED", end_time=ended)


def _parent_tag(parent: str | None) -> dict[str, str]:
    return {"bitladder.init_from_model_id": parent} if parent else {}


def _source() -> dict[str, str]:
    return {"mlflow.source.name": "bitladder register", "mlflow.source.type": "JOB"}


def _origin() -> dict[str, str]:
    """The commit and the DVC lock that the execution was published from, where there are any."""
    lock = Path("dvc.lock")
    found = {
        "bitladder.git_commit": _git_commit(),
        "bitladder.dvc_lock_digest": files.sha256(lock) if lock.is_file() else "",
    }
    return {key: value for key, value in found.items() if value}


def _git_commit() -> str:
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git here
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _batches(entries: list[Any]) -> Iterator[list[Any]]:
    return (entries[start : start + BATCH] for start in range(0, len(entries), BATCH))
