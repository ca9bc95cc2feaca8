"""The last stage: MLflow holds every model of the ladder, and the best delivered one has the alias.

Repeated at every `dvc repro`, because the store is no output of DVC's: it may have been deleted, or be
another one. When nothing is new it says so within a second. Curves that a server did not take while
training are delivered first, so that each model ends up with one run.
"""

import sys

from pipeline.params import Params
from pipeline.tracking import criteria, execution, live_runs, receipt, registry, spool, store
from pipeline.tracking.publish import Published, publish
from pipeline.tracking.receipt import Receipt


def run(params: Params, rung: str | None = None) -> None:
    """Publish what MLflow does not hold yet and appoint the champion.

    Raises:
        IntegrityError: a model is not what its manifest or its child's record says.
        StoreUnreachableError: MLflow does not answer.
    """
    place = store.locate()
    fingerprint = execution.fingerprint(params)
    known = receipt.unchanged(place, params.task.name, fingerprint)
    if known is not None and not spool.waiting():
        _say(place, f"0 runs new, {known.models} unchanged; {known.because}")
        return
    published, because = _publish(place, params, fingerprint)
    new, versions = len(published.new_runs), len(published.new_versions)
    _say(
        place,
        f"{new} runs new, {len(published.runs) - new} unchanged; "
        f"{versions} versions new, {len(published.versions) - versions} unchanged; {because}",
    )


def _publish(place: store.Store, params: Params, fingerprint: str) -> tuple[Published, str]:
    """What was published, and the champion with the reason, in words."""
    with store.locked(store.publishing_lock(place)):
        found = execution.read(params)
        name = execution.registered_model(found.task)
        with store.opened(place) as client:
            live_runs.deliver_or_say(client, place)
            published = publish(client, place, found, params)
            wanted = criteria.remembered(client, name)
            today = registry.Today(found.evaluated_on, execution.digests(found.task))
            choice = registry.appoint(client, name, wanted, today)
            if published.versions:
                criteria.remember(client, name, wanted)
            champion = registry.champion(client, name)
        known = Receipt(
            fingerprint=fingerprint,
            store=place.uri,
            runs=[published.execution_run, *published.runs.values()],
            logged_models=list(published.logged_models.values()),
            registered_model=name,
            versions=list(published.versions.values()),
            alias=registry.ALIAS,
            champion=champion,
            models=len(published.runs),
            because=_because(choice, champion),
        )
        receipt.write(place, found.task, known)
    return published, known.because


def _because(choice: registry.Choice, champion: str | None) -> str:
    if choice.best is not None:
        return f"champion = {choice.best.rung} (version {choice.best.version}), because its {choice.reason}"
    return f"champion {'none' if champion is None else f'stays version {champion}'}: {choice.reason}"


def _say(place: store.Store, text: str) -> None:
    sys.stdout.write(f"register: {text}\n  in MLflow at {place.shown}\n")
