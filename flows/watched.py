"""A stage's work while Prefect watches: a flow run named like the stage, with one task inside.

Prefect sees the work, it does not own it. Its engine raises when the server dies after the work is done, and
may fail before the work has begun; so the work runs exactly once, and only how it ended decides how the stage
ended.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from flows import processes, servers

_log = logging.getLogger(__name__)
_lost = False


def perform(name: str, address: str, work: Callable[[], None]) -> None:
    """Do the work inside a flow run if the server can be had, else without; raise what the work raised."""
    global _lost
    ended: list[BaseException | None] = []

    def once() -> None:
        try:
            work()
        except BaseException as error:
            ended.append(error)
            raise
        ended.append(None)

    try:
        _as_flow_run(name, address, once)
    except BaseException as error:
        if not isinstance(error, Exception) and not ended:
            raise
        _lost = not ended or ended[0] is None
        if _lost:
            _log.warning("%s: Prefect does not show all of this; the work goes on (%s)", address, error)
    if not ended:
        work()
    elif ended[0] is not None:
        raise ended[0]


def end_process(exit_code: int) -> NoReturn:
    """Leave; when the server was lost, without Prefect's threads, which would wait for it."""
    if _lost:
        processes.exit_at_once(exit_code)
    sys.exit(exit_code)


def lose_events_rather_than_wait() -> None:
    """By default each event waits seconds for a dead server, and the process waits for every event."""
    from prefect.events.clients import PrefectEventsClient
    from prefect.events.worker import EventsWorker

    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)
    logging.raiseExceptions = False  # Prefect would write "Error logging to API" for every batch


def _as_flow_run(name: str, address: str, once: Callable[[], None]) -> None:
    """Raises what the work raised, or whatever Prefect raises when its server is or gets lost."""
    api = os.environ["PREFECT_API_URL"]
    servers.require_prefect(api)

    from prefect import flow, task
    from prefect.exceptions import Abort

    lose_events_rather_than_wait()
    on_sigterm = signal.getsignal(signal.SIGTERM)

    @task(name=name, task_run_name=address)
    def work() -> None:
        signal.signal(signal.SIGTERM, on_sigterm)  # the flow engine has put its own in place
        once()

    @flow(name=name, flow_run_name=address)
    def stage() -> None:
        work()
        try:
            servers.require_prefect(api, within_s=1.0)
        except ConnectionError as error:  # not a word to a server that no longer answers: each costs seconds
            raise Abort(str(error)) from None

    stage()
