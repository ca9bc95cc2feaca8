"""A stage's work while Prefect watches: a flow run named like the stage, with one task inside.

Prefect sees the work, it does not own it. Its engine raises when the server dies after the work is done,
and may fail before the work has begun; so the work is wrapped in something that runs it exactly once and
remembers how it ended, and only that decides how the stage ended.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from flows import prefect_server, processes

_log = logging.getLogger(__name__)
_lost = False


class Once:
    """A piece of work that runs at most once; `error` is what it raised, signals included."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self.started = False
        self.error: BaseException | None = None

    def __call__(self) -> None:
        assert not self.started
        self.started = True
        try:
            self._work()
        except BaseException as error:
            self.error = error
            raise


def perform(name: str, address: str, work: Callable[[], None]) -> None:
    """Do the work inside a flow run if the server can be had, else without; raise what the work raised."""
    global _lost
    once = Once(work)
    try:
        _as_flow_run(name, address, once)
    except Exception as error:
        _lost = once.error is None
        if _lost:
            _log.warning(
                "%s: Prefect does not show all of this; the work is not affected (%s)", address, error
            )
    if not once.started:
        once()
    if once.error is not None:
        raise once.error


def end_process(exit_code: int) -> NoReturn:
    """Leave; when the server was lost, without Prefect's threads, which would wait for it."""
    if _lost:
        processes.exit_at_once(exit_code)
    sys.exit(exit_code)


def _as_flow_run(name: str, address: str, once: Once) -> None:
    """Raises what the work raised, or whatever Prefect raises when its server is or gets lost."""
    api = os.environ["PREFECT_API_URL"]
    prefect_server.require(api)

    from prefect import flow, task

    prefect_server.lose_events_rather_than_wait()
    on_sigterm = signal.getsignal(signal.SIGTERM)

    @task(name=name, task_run_name=address)
    def work() -> None:
        signal.signal(signal.SIGTERM, on_sigterm)  # the flow engine has put its own in place
        try:
            once()
        except (KeyboardInterrupt, SystemExit):
            _leave(address)

    @flow(name=name, flow_run_name=address)
    def stage() -> None:
        work()
        prefect_server.abort_if_lost(api)

    with prefect_server.abort_is_lost():
        stage()


def _leave(address: str) -> NoReturn:
    """End a stage that was told to stop without Prefect's engine: its server may have been stopped too."""
    from prefect import get_client, runtime
    from prefect.states import Crashed

    stop, timeout = sys.exception(), {"timeout": prefect_server.SHORT_S}
    with suppress(Exception), get_client(timeout, sync_client=True) as client:
        client.set_flow_run_state(runtime.flow_run.id, Crashed(message="stopped by a signal"), force=True)
    _log.info("%s: stopped", address)
    processes.exit_at_once(130 if isinstance(stop, KeyboardInterrupt) else 143)
