"""The last stage: MLflow holds every model of the ladder, and the best delivered one has the alias.

The report is among what it holds, so that its pages can lead there; it is brought up to date before.

Repeated at every `dvc repro`, because the store is no output of DVC's: it may have been deleted, or be
another one. When nothing is new that takes a few seconds. Curves that a server did not take while training
are delivered first, so that each model ends up with one run.
"""

import logging
import sys
from pathlib import Path

from pipeline.params import Params
from pipeline.stages import report
from pipeline.tracking import execution, live_runs, registry, store, turns
from pipeline.tracking.choice import Today
from pipeline.tracking.publish import publish

_log = logging.getLogger(__name__)


def run(params: Params, rung: str | None = None) -> None:
    """Publish what MLflow does not hold yet and appoint the champion.

    Raises:
        IntegrityError: a model is not what its manifest or its child's record says.
        OtherFormatError: a record or the results are those of another version.
        StoreUnreachableError: MLflow does not answer.
        StoreBusyError: another process, or another machine, publishes.
    """
    place = store.locate()
    found = execution.read(params)
    name = execution.registered_model(found.task)
    with (
        store.locked(store.publishing_lock(place)),
        store.opened(place) as client,
        turns.taken(client, place, name),
    ):
        _, refused = live_runs.deliver_all(client, place)
        for path, error in refused.items():
            _log.warning("%s: not delivered: %s", path, str(error).replace(place.uri, place.shown))
        published = publish(client, place, found, params, _page(params))
        wanted = registry.remembered(client, name)
        today = Today(found.evaluated_on, execution.digests(found.task))
        best = registry.appoint(client, name, wanted, today)
        if published.versions:
            registry.remember(client, name, wanted)
        champion = registry.champion(client, name)
    if best.best is not None:
        because = f"champion = {best.best.rung} (version {best.best.version}), because its {best.reason}"
    else:
        because = f"champion {'none' if champion is None else f'stays version {champion}'}: {best.reason}"
    new, versions = len(published.new_runs), len(published.new_versions)
    sys.stdout.write(
        f"register: {new} runs new, {len(published.runs) - new} unchanged; "
        f"{versions} versions new, {len(published.versions) - versions} unchanged; {because}\n"
        f"  in MLflow at {place.shown}\n"
    )


def _page(params: Params) -> Path | None:
    """The report of now; None where the stage `report` has not run."""
    return report.page_of_now(params) if report.CARDS.is_dir() else None
