"""A live run: the curve of a training that is going on, or has ended and was not registered yet.

    run "<name>", tag bitladder.live = the training's fingerprint
      training/loss, training/score by step; RUNNING, FINISHED, FAILED or KILLED

Delivery may be repeated and adds nothing twice: the run is found again by its tags, only what it lacks is
sent, and every point carries the run's start as its time: MLflow itself keeps once what is sent again.
`register` makes the run the model's own (publish.py), so a model never has two.
"""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bitladder import files
from pipeline.tracking import store
from pipeline.training import live

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LIVE = "bitladder.live"
Points = dict[tuple[str, int], float]


@dataclass(frozen=True)
class Delivery:
    """What became of one curve. A point is a step with its loss and, where measured, its score."""

    task: str
    name: str
    status: str
    delivered: int
    already_there: int
    run_id: str


def deliver_all(client: "MlflowClient", place: store.Store) -> tuple[list[Delivery], dict[Path, Exception]]:
    """Deliver every curve that waits, and remove the files of trainings that have ended.

    Returns:
        What was delivered, and why MLflow refused a curve, by its file.

    Raises:
        StoreUnreachableError: MLflow does not answer.
        StoreBusyError: another process kept delivering.
    """
    done, refused = [], {}
    with store.locked(live.HOME / "lock"):
        for path, curve in live.curves().items():
            try:
                with store.explained(place):
                    done.append(deliver(client, place, path.parent.name, curve))
                if curve.ended is not None and live.curves().get(path) == curve:  # not resumed meanwhile
                    path.unlink()
            except store.StoreUnreachableError:
                raise
            except Exception as error:  # one curve's trouble is not the others'
                refused[path] = error
    return done, refused


def deliver(client: "MlflowClient", place: store.Store, task: str, curve: live.Curve) -> Delivery:
    """Bring the curve's run up to what the spool says."""
    from mlflow.entities import Metric

    experiment_id = store.experiment(client, place, task)
    points = {(key, step): value for key, step, value in curve.points}
    tags = {LIVE: curve.fingerprint, "bitladder.task": task, **of_model(curve.name)}
    known = runs(client, experiment_id, tags)
    # A server that was slow to answer may have made a run twice. And of a step that a resumed training told
    # anew and differently, MLflow can forget the run, but not the point.
    kept = [(run, held) for run, held in known[:1] if held.items() <= (held | points).items()]
    for run, _ in known[len(kept) :]:
        client.delete_run(run.info.run_id)
    run, held = kept[0] if kept else (client.create_run(experiment_id, curve.started, tags, curve.name), {})
    new = {point: value for point, value in points.items() if point not in held}
    at = run.info.start_time
    store.log(client, run, metrics=[Metric(key, value, at, step) for (key, step), value in new.items()])
    if curve.ended is None:
        client.update_run(run.info.run_id, status=curve.status)
    else:
        client.set_terminated(run.info.run_id, curve.status, end_time=curve.ended)
    told, sent = {step for _, step in points}, {step for _, step in new}
    return Delivery(task, curve.name, curve.status, len(sent), len(told - sent), run.info.run_id)


def of_model(name: str) -> dict[str, str]:
    """Tags of a model's runs; those of another copy of this project on the same server differ."""
    return {
        "bitladder.name": name,
        "bitladder.project": files.digest([platform.node(), str(Path.cwd())])[:16],
    }


def runs(client: "MlflowClient", experiment_id: str, tags: dict[str, str]) -> list[tuple["Run", Points]]:
    """The live runs with these tags, each with its points, the most complete first."""
    found: list[tuple[Run, Points]] = []
    for run in store.runs(client, experiment_id, tags):
        if LIVE in run.data.tags:
            keys = {"training/loss", "training/score"} & run.data.metrics.keys()
            history = [each for key in keys for each in client.get_metric_history(run.info.run_id, key)]
            found.append((run, {(each.key, each.step): each.value for each in history}))
    return sorted(found, key=lambda one: (-len(one[1]), one[0].info.run_id))
