"""The experiment of a task: found, made, or brought back, with artifacts where the store can reach them."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pipeline.tracking import execution
from pipeline.tracking.store import Store, StoreUnreachableError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def ensure(client: "MlflowClient", store: Store, task: str) -> str:
    """The id of the task's experiment.

    Raises:
        StoreUnreachableError: it exists, and its artifacts cannot be had from here.
    """
    from mlflow.exceptions import MlflowException

    name = execution.experiment(task)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = store.artifacts.as_uri() if store.artifacts else None
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return ensure(client, store, task)  # somebody else was faster
    if store.database is not None:
        _refuse_unreachable_artifacts(store, name, experiment.artifact_location)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def _refuse_unreachable_artifacts(store: Store, experiment: str, location: str) -> None:
    """MLflow keeps absolute places: of a server's own store, or of where the project lay before."""
    if location.startswith("mlflow-artifacts:"):
        raise StoreUnreachableError(
            f"{store.shown}: experiment {experiment} was made through an MLflow server, which keeps its "
            "artifacts; set MLFLOW_TRACKING_URI to that server"
        )
    elsewhere = store.artifacts is not None and location != store.artifacts.as_uri()
    if elsewhere and location.startswith("file:") and not Path(unquote(urlsplit(location).path)).exists():
        raise StoreUnreachableError(
            f"{store.shown}: its artifacts were in {location}, which is gone; if the project was moved, "
            f"remove {store.database} and everything is published again"
        )
