"""One machine after another publishes to a server and chooses there.

A file lock keeps the processes of one project apart, not two machines, and MLflow has no lock. It has one
thing that only one client of several can do: make a registered model of a name. So whose turn it is has made
`<name>.turn`, and deletes it at the end. While it lasts a thread marks it anew every BEAT_S; one that has not
been marked for SILENT_S, by the watch of who waits, was left by a machine that died, and is taken away.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline.tracking import store
from pipeline.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

BEAT_S = 10.0
SILENT_S = 60.0
WAIT_S = 600.0
POLL_S = 0.5
MARK = "bitladder.turn_of"
NOTE = "Held while a machine publishes; a second one waits. It goes by itself, also if that machine dies."


@contextmanager
def taken(client: "MlflowClient", place: Store, name: str) -> Iterator[None]:
    """Keep every other machine from the registered model `name` in the block; nothing where none can come.

    Raises:
        StoreBusyError: another machine has been at it for WAIT_S.
    """
    if place.database is not None:  # a file of this project's, under its own lock
        yield
        return
    turn, own = f"{name}.turn", secrets.token_hex(8)
    _wait_for(client, turn, own)
    ended = threading.Event()
    beating = threading.Thread(target=_mark, args=(client, turn, own, ended), daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
        if (_mark_of(client, turn) or "").startswith(own):
            client.delete_registered_model(turn)


def _wait_for(client: "MlflowClient", turn: str, own: str) -> None:
    started = since = time.monotonic()
    seen: str | None = None
    while not _took(client, turn, own):
        mark = _mark_of(client, turn)
        if mark != seen:
            seen, since = mark, time.monotonic()
        elif mark is not None and time.monotonic() - since > SILENT_S:
            _take_away(client, turn)
        if time.monotonic() - started > WAIT_S:
            raise store.StoreBusyError(
                f"{turn}: another machine has been publishing for {WAIT_S:.0f} s; try again"
            )
        time.sleep(POLL_S)


def _took(client: "MlflowClient", turn: str, own: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(turn, {MARK: own}, NOTE)
    except MlflowException as error:
        # The second where it is given back while MLflow looks whose it is.
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
            raise
        return False
    return True


def _mark(client: "MlflowClient", turn: str, own: str, ended: threading.Event) -> None:
    number = 0
    while not ended.wait(BEAT_S):
        number += 1
        with suppress(Exception):  # a beat that is lost does no harm, one in six is enough
            client.set_registered_model_tag(turn, MARK, f"{own} {number}")


def _mark_of(client: "MlflowClient", turn: str) -> str | None:
    """Who has the turn and how often that was marked; None where nobody has it."""
    found = client.search_registered_models(f"name = '{turn}'")
    return found[0].tags.get(MARK, "") if found else None


def _take_away(client: "MlflowClient", turn: str) -> None:
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):  # another one who waited was quicker
        client.delete_registered_model(turn)
