"""Live curves around a stage's work: the spool it writes to, and the process that carries it to MLflow.

Only where somebody can watch: a server is named in MLFLOW_TRACKING_URI, or `bitladder up` shows the project's
own store. Elsewhere `register` publishes the whole curve at the end and nothing is started here. Whatever
goes wrong costs the live curve, never the stage, and at most WAIT_S at its end.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flows import servers, torchrun
from pipeline import paths
from pipeline.params import Params
from pipeline.tracking import spool, store
from pipeline.training import live

WAIT_S = 2.0
LOG = paths.WORK / "logs" / "live-curves.log"

_log = logging.getLogger(__name__)


@contextmanager
def shown(settings: Params, stage: str) -> Iterator[None]:
    """Show the curve of the training inside, if this stage trains and somebody can watch."""
    child = _start(settings.task.name) if torchrun.trains(settings, stage) else None
    try:
        yield
    finally:
        if child is not None:
            _leave(child)


def watched() -> bool:
    """Whether a curve would be seen while it grows."""
    place = store.locate()
    if place.database is None:
        return True
    own = place.database == (store.HOME / "mlflow.db").resolve()
    return own and servers.running() is not None


def _start(task: str) -> "subprocess.Popen[bytes] | None":
    try:
        if not watched():
            return None
        child = _deliverer()
    except (OSError, ValueError) as error:
        _log.warning("the curve is not shown live (%s)", error)
        return None
    os.environ[live.SPOOL] = str(spool.folder(task).absolute())
    return child


def _deliverer() -> "subprocess.Popen[bytes]":
    # Output to a file: whoever reads the stage's own would wait for this too. A session of its own: what
    # stops the stage must leave this the time to say so to MLflow.
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.tracking.deliver"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def _leave(child: "subprocess.Popen[bytes]") -> None:
    """Tell the child that the stage has ended, and wait a moment for the last points."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        if child.wait(WAIT_S) != 0:
            _log.warning(
                "MLflow did not take the whole live curve; it is kept in %s, deliver it with: bitladder sync",
                spool.HOME,
            )
    except subprocess.TimeoutExpired:
        _log.warning("the live curve is still on its way; if MLflow is silent: bitladder sync")
