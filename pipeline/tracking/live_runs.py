"""A live run: the curve of a training that is going on, or has ended and was not registered yet.

    run "<name>", tag bitladder.live = the training's fingerprint
      training/loss, training/score by step; RUNNING, FINISHED, FAILED or KILLED

Delivery may be repeated after any failure and adds nothing twice: the run is found again by its tag, it is
asked what it has, and every point carries the run's start as its time, so that MLflow itself keeps a point
that is sent again only once. A live run is one project's: the same training elsewhere has another.

`register` takes the run over as the model's own (publish.py) when its points are the model's curve, so a
model never has two.
"""

import logging
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitladder import files
from pipeline.tracking import experiments, fields, spool, versions
from pipeline.tracking.execution import Model
from pipeline.tracking.spool import Curve
from pipeline.tracking.store import (
    LOCK_SECONDS,
    Store,
    StoreBusyError,
    StoreUnreachableError,
    explained,
    locked,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LIVE = "bitladder.live"
NAME = "bitladder.name"
PROJECT = "bitladder.project"
BATCH = 100
_logger = logging.getLogger(__name__)
Held = dict[tuple[str, int], set[float]]


@dataclass(frozen=True)
class Delivery:
    """What became of one curve. A point is a step with its loss and, where measured, its score."""

    task: str
    name: str
    status: str
    delivered: int
    already_there: int
    run_id: str


def deliver_all(client: "MlflowClient", store: Store) -> tuple[list[Delivery], dict[Path, Exception]]:
    """Deliver every spooled curve and remove the files of trainings that have ended.

    Returns:
        What was delivered, and why a file was not: MLflow refused it, or another process kept delivering it.

    Raises:
        StoreUnreachableError: MLflow does not answer.
    """
    done, left = [], {}
    for path in spool.waiting():
        try:
            delivered = deliver_file(client, store, path, wait_seconds=LOCK_SECONDS, remove=True)
        except StoreUnreachableError:
            raise
        except Exception as error:  # one curve's trouble is not the others'
            left[path] = error
            continue
        if delivered is not None:
            done.append(delivered)
    return done, left


def deliver_or_say(client: "MlflowClient", store: Store) -> None:
    """Bring every spooled curve to MLflow; one that it refuses is said and left behind.

    Raises:
        StoreBusyError: another process kept delivering one, so its run cannot be taken over now.
    """
    _, left = deliver_all(client, store)
    for path, error in left.items():
        if isinstance(error, StoreBusyError):
            raise error
        _logger.warning("%s: not delivered: %s", path, str(error).replace(store.uri, store.shown))


def deliver_file(
    client: "MlflowClient", store: Store, path: Path, *, wait_seconds: float, remove: bool = False
) -> Delivery | None:
    """Deliver the curve in a spool file, if it has begun; with `remove`, delete it if its training has ended.

    Raises:
        StoreUnreachableError: MLflow does not answer.
        StoreBusyError: another process was still delivering it after `wait_seconds`.
        Exception: MLflow's own, when it refuses the curve.
    """
    with locked(spool.lock(path), wait_seconds), explained(store):
        curve = spool.read(path)
        if curve is None:
            return None
        delivered = deliver(client, store, curve)
        if remove and curve.ended is not None:
            spool.discard(curve)
        return delivered


def deliver(client: "MlflowClient", store: Store, curve: Curve) -> Delivery:
    """Bring the curve's live run up to what the spool says. The caller holds the curve's lock."""
    experiment_id = experiments.ensure(client, store, curve.task)
    run, held = _run(client, experiment_id, curve)
    missing = {point: value for point, value in curve.points.items() if point not in held}
    _log(client, run, missing)
    _set_status(client, run, curve)
    new = {step for _, step in missing}
    return Delivery(
        task=curve.task,
        name=curve.name,
        status=curve.status,
        delivered=len(new),
        already_there=len(curve.steps) - len(new),
        run_id=run.info.run_id,
    )


def every(client: "MlflowClient", experiment_id: str) -> list["Run"]:
    """All live runs of this project in an experiment."""
    return _search(client, experiment_id, f"tags.`{LIVE}` LIKE '%'")


def of_model(client: "MlflowClient", live: Iterable["Run"], model: Model) -> list["Run"]:
    """Those among `live` that show this model's training, the most complete first."""
    own = {(point.key, point.step): point.value for point in fields.points(model)}
    found = []
    for run in live:
        held = _held(client, run) if run.data.tags.get(NAME) == model.name else {}
        if held and all(values == {own.get(point)} for point, values in held.items()):
            found.append((len(held), run))
    return [run for _, run in sorted(found, key=lambda one: (-one[0], one[1].info.run_id))]


def replace(client: "MlflowClient", live: Iterable["Run"], *, by: "Run") -> None:
    """The model is published: of the runs that showed its training, `by` is kept and live no more."""
    for run in live:
        if run.info.run_id == by.info.run_id:
            client.delete_tag(run.info.run_id, LIVE)
        else:
            client.delete_run(run.info.run_id)


def project() -> str:
    """Tells this project's runs from those of another copy of it on the same server."""
    return files.digest([platform.node(), str(Path.cwd())])[:16]


def _run(client: "MlflowClient", experiment_id: str, curve: Curve) -> tuple["Run", Held]:
    """The run that shows the curve, and what it holds. Others that can only be leftovers are deleted."""
    filter_string = f"tags.`{LIVE}` = '{curve.fingerprint}' AND tags.`{NAME}` = '{curve.name}'"
    known = [(run, _held(client, run)) for run in _search(client, experiment_id, filter_string)]
    # A server that was slow to answer may have made a run twice.
    known.sort(key=lambda one: (-len(one[1]), one[0].info.run_id))
    kept = [(run, held) for run, held in known[:1] if not _contradicts(held, curve)]
    for run, _ in known[len(kept) :]:
        client.delete_run(run.info.run_id)
    return kept[0] if kept else (_create(client, experiment_id, curve), {})


def _contradicts(held: Held, curve: Curve) -> bool:
    """A resumed training told a step anew and differently: MLflow can forget a run, but no point of it."""
    return any(held[point] != {value} for point, value in curve.points.items() if point in held)


def _create(client: "MlflowClient", experiment_id: str, curve: Curve) -> "Run":
    tags = {
        LIVE: curve.fingerprint,
        NAME: curve.name,
        PROJECT: project(),
        "bitladder.task": curve.task,
        "mlflow.source.name": "bitladder, while training",
        "mlflow.source.type": "JOB",
    }
    return client.create_run(experiment_id, start_time=curve.started, run_name=curve.name, tags=tags)


def _held(client: "MlflowClient", run: "Run") -> Held:
    """Every value of the run's curve, by metric and step."""
    held: Held = {}
    for key in spool.METRICS.values():
        if key in run.data.metrics:
            for metric in client.get_metric_history(run.info.run_id, key):
                held.setdefault((key, metric.step), set()).add(metric.value)
    return held


def _log(client: "MlflowClient", run: "Run", points: dict[tuple[str, int], float]) -> None:
    from mlflow.entities import Metric

    at = run.info.start_time
    metrics = [Metric(key, value, at, step) for (key, step), value in points.items()]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run.info.run_id, metrics=metrics[start : start + BATCH])


def _set_status(client: "MlflowClient", run: "Run", curve: Curve) -> None:
    if (run.info.status, run.info.end_time) == (curve.status, curve.ended):
        return
    if curve.ended is None:
        if run.info.status != curve.status:
            client.update_run(run.info.run_id, status=curve.status)
    else:
        client.set_terminated(run.info.run_id, curve.status, end_time=curve.ended)


def _search(client: "MlflowClient", experiment_id: str, filter_string: str) -> list["Run"]:
    own = f"{filter_string} AND tags.`{PROJECT}` = '{project()}'"
    found: Any = versions.pages(client.search_runs, experiment_ids=[experiment_id], filter_string=own)
    return list(found)
