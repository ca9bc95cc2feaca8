"""What the project asks of a Prefect server, and what keeps a dead one from being waited for.

Prefect's own client asks; only whether a server answers at all is plain HTTP, so that no import of Prefect is
paid for where there is none.
"""

import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

FLOW = "bitladder"
UNFINISHED = {"type": {"any_": ["RUNNING", "PENDING"]}}
SILENT_END = "the process ended without a word"
ZOMBIES = "bitladder: a flow run without heartbeats has crashed"
ANSWER_S = 5.0
SHORT_S = 1.0


def require(url: str, *, within_s: float = ANSWER_S) -> None:
    """Raise ConnectionError unless a server says at `url`/health that it is well.

    A refusal is an answer too: a server may want credentials, which Prefect's own client knows.
    """
    try:
        urllib.request.urlopen(f"{url}/health", timeout=within_s).close()  # noqa: S310
    except urllib.error.HTTPError as refused:
        if refused.code not in (401, 403):
            raise ConnectionError(
                f"what answers at {url} is not a healthy Prefect server: {refused}"
            ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ConnectionError(
            f"no Prefect server answers at {url}: {getattr(error, 'reason', error)}"
        ) from None


def answers(url: str) -> bool:
    try:
        require(url)
    except ConnectionError:
        return False
    return True


def lose_events_rather_than_wait() -> None:
    """By default each event waits seconds for a dead server, and the process waits for every event."""
    from prefect.events.clients import PrefectEventsClient
    from prefect.events.worker import EventsWorker

    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)
    logging.raiseExceptions = False  # Prefect would write "Error logging to API" for every batch


def abort_if_lost(url: str) -> None:
    """Leave the flow engine without a word to a server that no longer answers: each would cost seconds."""
    from prefect.exceptions import Abort

    try:
        require(url, within_s=SHORT_S)
    except ConnectionError as error:
        raise Abort(str(error)) from None


@contextmanager
def abort_is_lost() -> Iterator[None]:
    """Raise ConnectionError where the block raised Prefect's Abort, which is no Exception."""
    from prefect.exceptions import Abort

    try:
        yield
    except Abort as error:
        raise ConnectionError(str(error)) from None


def say_stopped(url: str, flow_run: UUID) -> None:
    """Tell the server that a flow run was stopped; no answer is fine."""
    with suppress(Exception), client(url, within_s=SHORT_S) as asked:
        _crash(asked, flow_run, why="stopped by a signal")


def notice_crashes(url: str) -> None:
    """Have the server mark a flow run as Crashed when its heartbeats stop, as they do after `kill -9`."""
    from prefect.events.schemas.automations import AutomationCore

    ends = [f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")]
    trigger = {
        "type": "event",
        "posture": "Proactive",
        "match": {"prefect.resource.id": ["prefect.flow-run.*"]},
        "after": ["prefect.flow-run.heartbeat"],
        "expect": ["prefect.flow-run.heartbeat", *ends],
        "for_each": ["prefect.resource.id"],
        "threshold": 1,
        "within": 90,
    }
    action = {"type": "change-flow-run-state", "state": "CRASHED", "message": SILENT_END}
    wanted = AutomationCore.model_validate({"name": ZOMBIES, "trigger": trigger, "actions": [action]})
    with client(url) as asked:
        if not asked.read_automations_by_name(ZOMBIES):
            asked.create_automation(wanted)


def end_child(url: str, task_run: str) -> UUID | None:
    """The flow run under a task whose process has ended; it is marked Crashed if it did not say its end."""
    with suppress(Exception), client(url) as asked:  # no answer: the picture lacks an edge
        found = _flow_runs(asked, parent_task_run_id={"any_": [task_run]})
        for flow_run in found:
            if not flow_run.state or not flow_run.state.is_final():
                _crash(asked, flow_run.id)
        return found[0].id if found else None
    return None


def crash_unfinished(url: str) -> None:
    """Mark as Crashed every flow run of `bitladder run` that a dead process left unfinished.

    Only for a server where no other `bitladder run` can be at work.
    """
    from prefect.client.schemas.filters import FlowFilter

    with suppress(Exception), client(url) as asked:
        of_runs = FlowFilter.model_validate({"name": {"any_": [FLOW]}})
        left = _flow_runs(asked, of_runs, state=UNFINISHED)
        parents = {"any_": [flow_run.id for flow_run in left]}
        below = _flow_runs(asked, parent_flow_run_id=parents, state=UNFINISHED) if left else []
        for flow_run in [*left, *below]:
            _crash(asked, flow_run.id)


@contextmanager
def client(url: str, *, within_s: float = ANSWER_S) -> "Iterator[SyncPrefectClient]":
    """Prefect's client of this server, with the person's credentials."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY

    secrets = {"auth_string": PREFECT_API_AUTH_STRING.value(), "api_key": PREFECT_API_KEY.value()}
    with SyncPrefectClient(url, **secrets, httpx_settings={"timeout": within_s}) as asked:
        yield asked


def _flow_runs(asked: "SyncPrefectClient", flows: Any = None, **chosen: Any) -> "list[FlowRun]":
    from prefect.client.schemas.filters import FlowRunFilter

    wanted = FlowRunFilter.model_validate(chosen)
    return asked.read_flow_runs(flow_filter=flows, flow_run_filter=wanted)


def _crash(asked: "SyncPrefectClient", flow_run: UUID, *, why: str = SILENT_END) -> None:
    from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
    from prefect.states import Crashed

    asked.set_flow_run_state(flow_run, Crashed(message=why), force=True)
    of_it = FlowRunFilter.model_validate({"id": {"any_": [flow_run]}})
    unfinished = TaskRunFilter.model_validate({"state": UNFINISHED})
    for task_run in asked.read_task_runs(flow_run_filter=of_it, task_run_filter=unfinished):
        asked.set_task_run_state(task_run.id, Crashed(message=why), force=True)
