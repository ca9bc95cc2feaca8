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
from typing import NoReturn
from uuid import UUID

from flows import prefect_server, processes

PARENT = "BITLADDER_PARENT_TASK_RUN"  # id of the task run in `bitladder run` that started this stage

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
    parent = os.environ.pop(PARENT, None)  # for this process alone, not for what it may start
    try:
        _as_flow_run(name, address, once, parent=UUID(parent) if parent else None)
    except Exception as error:
        _lost = once.error is None
        if once.error is None and not parent:  # `bitladder run` says it once for all its stages
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


def _as_flow_run(name: str, address: str, once: Once, *, parent: UUID | None) -> None:
    """Raises what the work raised, or whatever Prefect raises when its server is or gets lost."""
    api = os.environ["PREFECT_API_URL"]
    prefect_server.require(api)

    from prefect import flow, task
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Pending

    prefect_server.lose_events_rather_than_wait()
    on_sigterm = signal.getsignal(signal.SIGTERM)

    @task(name=name, task_run_name=address)
    def work() -> None:
        signal.signal(signal.SIGTERM, on_sigterm)  # the flow engine has put its own in place
        try:
            once()
        except (KeyboardInterrupt, SystemExit):
            _leave(api, flow_run.id, address)

    @flow(name=name)
    def stage() -> None:
        work()
        prefect_server.abort_if_lost(api)

    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(stage, name=address, parent_task_run_id=parent, state=Pending())
    with prefect_server.abort_is_lost():
        run_flow(stage, flow_run=flow_run)


def _leave(api: str, flow_run: UUID, address: str) -> None:
    """End a stage that was told to stop without Prefect's engine: its server may have been stopped too."""
    stop = sys.exception()
    prefect_server.say_stopped(api, flow_run)
    _log.info("%s: stopped", address)
    processes.exit_at_once(130 if isinstance(stop, KeyboardInterrupt) else 143)
