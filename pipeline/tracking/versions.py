"""The registered model of a task: one version per delivered rung, found again by its source.

A version carries as tags everything that choosing needs (registry.py), because MLflow can neither sort nor
filter versions by a number. When the same weights are evaluated anew and score differently, the newer
evidence gets a version of its own and the older one a tag that says so.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.tracking.execution import Model, registered_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

SUPERSEDED = "bitladder.superseded_by"


def every(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """Every version of a registered model; empty when there is no such model."""
    return list(pages(client.search_model_versions, filter_string=f"name = '{name}'"))


def ensure(
    client: "MlflowClient", model: Model, logged: "LoggedModel", tags: dict[str, str]
) -> tuple[str, bool]:
    """The version of a delivered rung, and whether it is new."""
    name, source = registered_model(model.record.task), f"models:/{logged.model_id}"
    _ensure_registered(client, name, model.record.task)
    same = [found for found in every(client, name) if _describes(found, model)]
    own = next((found for found in same if found.source == source), None)
    version = own or client.create_model_version(
        name,
        source,
        logged.source_run_id,
        _shown(tags),
        description=_summary(model),
        model_id=logged.model_id,
    )
    _link(client, logged, name, version)
    _supersede(client, name, version, same)
    return str(version.version), own is None


def pages(search: Any, **query: Any) -> Iterator[Any]:
    """Every result of one of the client's searches."""
    page = search(**query)
    yield from page
    while page.token:
        page = search(**query, page_token=page.token)
        yield from page


def _describes(version: "ModelVersion", model: Model) -> bool:
    tags = version.tags
    return (tags.get("bitladder.name"), tags.get("bitladder.digest")) == (model.name, model.record.digest)


def _ensure_registered(client: "MlflowClient", name: str, task: str) -> None:
    from mlflow.exceptions import MlflowException

    if client.search_registered_models(f"name = '{name}'"):
        return
    try:
        description = f"Delivered rungs of the ladder on task {task}"
        client.create_registered_model(name, tags={"bitladder.task": task}, description=description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # somebody else was faster
            raise


def _link(client: "MlflowClient", logged: "LoggedModel", name: str, version: "ModelVersion") -> None:
    """What MLflow's own register_model does: the logged model's page then shows the version."""
    value = json.dumps([{"name": name, "version": version.version}])
    if logged.tags.get("mlflow.modelVersions") != value:
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": value})


def _supersede(
    client: "MlflowClient", name: str, current: "ModelVersion", same: list["ModelVersion"]
) -> None:
    number = str(current.version)
    for other in same:
        stated = other.tags.get(SUPERSEDED)
        if str(other.version) == number and stated is not None:
            client.delete_model_version_tag(name, number, SUPERSEDED)
        if str(other.version) != number and stated != number:
            client.set_model_version_tag(name, str(other.version), SUPERSEDED, number)


def _summary(model: Model) -> str:
    precision = model.record.precision
    bits = f"{precision.weights}-{precision.embeddings}-{precision.activations}"
    score = "undefined" if model.score is None else f"{model.score:.4f}"
    if model.num_seeds > 1:
        mean = "undefined" if model.mean is None else f"{model.mean:.4f}"
        score = f"{mean} (mean over {model.num_seeds} seeds; this file {score})"
    size = "unknown" if model.mib is None else f"{model.mib:.2f} MiB"
    one_answer = f", one answer to all rows (seed {', '.join(model.collapsed)})" if model.collapsed else ""
    return f"{model.name} ({bits} bits) from {model.record.parent}: score {score}{one_answer}, size {size}"


def _shown(tags: dict[str, str]) -> dict[str, str]:
    """MLflow's page shows all tags of all versions: what only audits need stays with the logged model."""
    hidden = ("key", "data.", "record_digest", "packed_digest", "schema_version", "seed", "task")
    return {
        key: value for key, value in tags.items() if not key.removeprefix("bitladder.").startswith(hidden)
    }
