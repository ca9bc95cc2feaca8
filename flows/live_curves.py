"""Live curves: a process beside a stage carries what its training spools to MLflow.

Only where somebody can watch: MLFLOW_TRACKING_URI names a server, or `bitladder up` shows the project's own
store. Whatever goes wrong costs the live curve, never the stage, and at most WAIT_S at its end: MLflow's
asynchronous logging would wait there for a server that does not answer. When the process's standard input
ends, the stage has, and GRACE_S are left. What was not delivered waits for `bitladder sync` or `register`.
"""

import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flows import servers, torchrun
from pipeline import paths
from pipeline.params import Params
from pipeline.tracking import live_runs, store
from pipeline.training import live

WAIT_S, GRACE_S, PAUSE_S = 2, 5, 1
_log = logging.getLogger(__name__)


@contextmanager
def shown(settings: Params, stage: str) -> Iterator[None]:
    """Show the curve of the training inside, if this stage trains and somebody can watch."""
    child = _start(settings.task.name) if torchrun.trains(settings, stage) else None
    try:
        yield
    finally:
        if child is not None:
            with suppress(subprocess.TimeoutExpired):
                child.communicate(timeout=WAIT_S)  # closes its standard input
            if child.returncode != 0:
                _log.warning("MLflow has not taken the whole curve yet; deliver it with: bitladder sync")


def main() -> int:
    """Deliver what is spooled, again where that fails, until the stage has ended. Returns 0 when all is."""
    os.nice(5)
    os.environ.update({"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})
    place, curves, failure = store.locate(), live.curves(), "nothing is delivered yet"
    with suppress(store.StoreUnreachableError), store.opened(place):
        pass  # mlflow is imported now, while the stage imports torch
    while True:
        ended = bool(select.select([sys.stdin], [], [], PAUSE_S)[0])
        signal.alarm(GRACE_S * ended)  # SIGALRM's default is to end the process
        known, said, curves = curves, failure, live.curves()
        failure = deliver(place) if curves and (ended or said or curves != known) else ""
        sys.stderr.write(failure if failure != said else "")
        if ended:
            return 1 if failure else 0


def deliver(place: store.Store) -> str:
    """Deliver what is spooled. Returns what went wrong, a line for each curve."""
    try:
        with store.opened(place) as client:
            _, left = live_runs.deliver_all(client, place)
    except Exception as error:  # MLflow's, of any kind
        left = {live.HOME: error}
    said = "".join(f"{path}: {error!r}\n" for path, error in left.items())
    return said.replace(place.uri, place.shown)


def _start(task: str) -> "subprocess.Popen[bytes] | None":
    try:
        place = store.locate()
        if place.database and not (place == store.own() and servers.running()):
            return None
        # A file: whoever reads the stage's own output would wait for this process too.
        with (paths.WORK / "live-curves.log").open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "flows.live_curves"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # what stops the stage leaves this the time to say so to MLflow
            )
    except (OSError, ValueError) as error:
        _log.warning("the curve is not shown live (%s)", error)
        return None
    os.environ[live.SPOOL] = str((live.HOME / task).absolute())
    return child


if __name__ == "__main__":
    os._exit(main())  # the stage waits, and mlflow takes a second to say goodbye
