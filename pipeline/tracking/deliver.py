"""`python -m pipeline.tracking.deliver`: carries spooled curves to MLflow while a stage trains, beside it.

A process of its own, so that neither a server that is gone or silent nor the import of mlflow costs training
anything. It learns through its standard input, a pipe that nothing is written to, that the stage has ended,
however that happened; then it has GRACE_SECONDS left, which the kernel enforces. What it did not get
delivered stays in the spool for `bitladder sync`.

Exit codes: 0 everything is delivered, 3 MLflow does not answer; ended by SIGALRM: it did not in time.
"""

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from pipeline.tracking import live_runs, spool, store
from pipeline.tracking.spool import Stamp
from pipeline.tracking.store import Store, StoreUnreachableError

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
LAST_PAUSE_SECONDS = 0.2
GRACE_SECONDS = 5.0
POLITENESS = 5
# Whatever fails is tried again in the next round.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
_log = logging.getLogger(__name__)


def main() -> int:
    """Deliver until the stage has ended and everything is delivered, or cannot be."""
    os.nice(POLITENESS)
    os.environ.update(_IMPATIENT)
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    ended = threading.Event()
    threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
    place, delivered, pause = store.locate(), dict[Path, Stamp](), PAUSE_SECONDS
    _warm_up(place)
    while True:
        last = ended.is_set()  # looked at first: the stage writes nothing after its end
        failure = _round(place, delivered)
        if last and failure is None:
            return 0
        if last and isinstance(failure, StoreUnreachableError):
            return failure.exit_code
        pause = PAUSE_SECONDS if failure is None else min(2 * pause, LONGEST_PAUSE_SECONDS)
        if last:
            time.sleep(LAST_PAUSE_SECONDS)
        else:
            ended.wait(pause)


def _warm_up(place: Store) -> None:
    """Import mlflow now, while the stage imports torch, unless there is nobody to talk to."""
    with suppress(StoreUnreachableError), store.opened(place):
        pass


def _round(place: Store, delivered: dict[Path, Stamp]) -> Exception | None:
    """Deliver what is new; None when everything is delivered now. `delivered` remembers it."""
    found = {path: now for path in spool.waiting() if (now := spool.stamp(path)) is not None}
    changed = [path for path, now in found.items() if delivered.get(path) != now]
    if not changed:
        return None
    failure: Exception | None = None
    try:
        with store.opened(place) as client:
            for path in changed:
                try:
                    live_runs.deliver_file(client, place, path, wait_seconds=0)
                    delivered[path] = found[path]
                except StoreUnreachableError:
                    raise
                except Exception as error:  # a refusal, or a run deleted by hand: the next round sees
                    failure = failure or error
                    _say_once(f"{path}: {_told(place, error)}")
    except Exception as error:
        _log.warning("%s", _told(place, error))
        return error
    return failure


def _told(place: Store, error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace(place.uri, place.shown)


@cache
def _say_once(text: str) -> None:
    """However many rounds find the same."""
    _log.warning("%s", text)


def _await_end(ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)  # SIGALRM's default is to end the process
    ended.set()


if __name__ == "__main__":
    os._exit(main())  # the stage waits, and mlflow takes a second to say goodbye
