"""`bitladder lineage`, `best` and `sync`: a table or lines for a person, JSON for a program."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bitladder import shown
from pipeline import params_file, paths, record
from pipeline.record import Record
from pipeline.rungs import TEACHER
from pipeline.tracking import ancestry, execution, live_runs, registry, store, turns
from pipeline.tracking.ancestry import Lineage
from pipeline.tracking.choice import Choice, Criteria, Today
from pipeline.tracking.registry import ALIAS
from pipeline.training import live

DISAGREES = 4
WIDTH_IN_A_PIPE = 160


def lineage(rung: str, as_json: bool) -> int:
    """Show where a rung came from.

    Returns:
        0 when it is proved, 2 when there is no such rung, 4 when MLflow and the files disagree.

    Raises:
        NotPublishedError: it is not in MLflow.
    """
    settings = params_file.load(paths.PARAMS)
    if rung not in execution.names(settings):
        sys.stderr.write(f"{rung}: no such rung; known: {', '.join(execution.names(settings))}\n")
        return 2
    with store.opened(store.locate()) as client:
        found = ancestry.trace(client, settings.task.name, rung)
    if as_json:
        _write_json(found.as_json())
    else:
        _show_chain(found)
    sys.stderr.writelines(f"{text}\n" for text in found.disagreements)
    return 0 if found.verified else DISAGREES


def best(wanted: Criteria, as_json: bool) -> int:
    """Choose the best registered rung, give it the alias, say why. `register` will choose by the same.

    Returns:
        0 when one was chosen, 1 when none meets the criteria.
    """
    settings = params_file.load(paths.PARAMS)
    task = settings.task.name
    today = Today(execution.evaluated_on(settings), execution.digests(task))
    place = store.locate()
    name = execution.registered_model(task)
    with (
        store.locked(store.publishing_lock(place)),
        store.opened(place) as client,
        turns.taken(client, place, name),
    ):
        choice = registry.appoint(client, name, wanted, today)
        if choice.best is not None:
            registry.remember(client, name, wanted)
    if as_json:
        _write_json(_choice_json(choice, name, wanted))
    else:
        _show_choice(choice, name)
    return 0 if choice.best else 1


def sync(as_json: bool) -> int:
    """Deliver the spooled curves of every task, and remove those of trainings that have ended.

    Returns:
        0, also when there was nothing to do; 1 when MLflow refused a curve, which stderr names. The others
        are delivered all the same.

    Raises:
        StoreUnreachableError: MLflow does not answer; the spool is as it was, or shorter.
        StoreBusyError: another process kept delivering.
    """
    place = store.locate()
    done: list[live_runs.Delivery] = []
    refused: dict[Path, Exception] = {}
    if live.curves():
        with store.opened(place) as client:
            done, refused = live_runs.deliver_all(client, place)
    if as_json:
        delivered = sum(one.delivered for one in done)
        _write_json({"store": place.shown, "delivered": delivered, "curves": [asdict(one) for one in done]})
    elif done:
        for one in done:
            sys.stdout.write(
                f"{one.name} ({one.task}, {one.status.lower()}): "
                f"{one.delivered} points delivered, {one.already_there} already there\n"
            )
        sys.stdout.write(f"In MLflow at {place.shown}\n")
    elif not refused:
        sys.stdout.write("Nothing is spooled.\n")
    for path, error in refused.items():
        sys.stderr.write(f"{path}: not delivered: {error}\n".replace(place.uri, place.shown))
    return 1 if refused else 0


def _show_chain(found: Lineage) -> None:
    verdict = "MLflow and the records agree" if found.verified else "MLflow and the records DISAGREE"
    columns = ("model", "stage", "W-E-A bits", "score", "MiB", "digest", "first weights", "data")
    rows = [
        (
            step.record.name,
            step.record.stage,
            "-".join(map(str, record.bits(step.record).values())),
            _decimal(step.result.score if step.result else None, 4),
            _decimal(step.result.mib if step.result else None, 2),
            step.record.digest[:10],
            _first_weights(step.record),
            step.record.data.get("kind", ""),
        )
        for step in found.chain
    ]
    _show_table(f"{found.rung} on {found.task}: {verdict}", columns, rows)


def _first_weights(own: Record) -> str:
    """Parts with the same origin on one line, `embeddings, head copied from ...`; then a rung that taught."""
    origins: dict[str, list[str]] = {}
    for selector, origin in record.origins(own.init).items():
        origins.setdefault(str(origin), []).append(selector)
    lines = [f"{', '.join(selectors)} {origin}" for origin, selectors in origins.items()]
    return "\n".join([*lines, f"taught by {own.teacher}"] if own.teacher not in (None, TEACHER) else lines)


def _show_choice(choice: Choice, name: str) -> None:
    columns = ("rung", "version", "W-E-A bits", "score", "seeds", "MiB", "digest", "verdict")
    judged = [(one, "chosen" if one == choice.best else "competed") for one in choice.ranked]
    judged += choice.excluded
    rows = [
        (
            one.rung,
            one.version,
            f"{one.weight_bits}-{one.embedding_bits}-{one.activation_bits}",
            _decimal(one.counted, 4),
            str(one.num_seeds),
            _decimal(one.mib, 2),
            one.digest[:10],
            verdict,
        )
        for one, verdict in judged
    ]
    _show_table(f"Versions of {name}", columns, rows)
    if any(one.num_seeds > 1 for one, _ in judged):
        sys.stdout.write("Score: of several seeds their mean, which is what ranks; the file is one seed's.\n")
    if choice.best is None:
        said = f"Nothing chosen: {choice.reason}. The alias {ALIAS} stays where it was."
    else:
        said = f"{ALIAS} = {choice.best.rung} (version {choice.best.version}): its {choice.reason}."
    sys.stdout.write(f"{said}\n")


def _choice_json(choice: Choice, name: str, wanted: Criteria) -> dict[str, Any]:
    shown = ("rung", "version", "score", "mean", "num_seeds", "mib", "digest")
    return {
        **{key: getattr(choice.best, key, None) for key in shown},
        "reason": choice.reason,
        "criteria": asdict(wanted),
        "candidates": [asdict(one) for one in choice.ranked],
        "excluded": [{**asdict(one), "because": objection} for one, objection in choice.excluded],
        "alias": ALIAS,
        "registered_model": name,
    }


def _decimal(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(title=escape(title), title_justify="left")
    for column in columns:
        is_number = column in {"score", "seeds", "MiB"}
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE).print(table)


def _write_json(value: dict[str, Any]) -> None:
    sys.stdout.write(shown.as_json(value, indent=2) + "\n")
