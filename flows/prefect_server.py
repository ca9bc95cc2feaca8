"""The few things the project asks of a Prefect server, and what keeps a dead one from being waited for.

Plain HTTP, so that asking costs no import of Prefect.
"""

import http.client
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

FLOW = "bitladder"
UNFINISHED = ["RUNNING", "PENDING"]
SILENT_END = "the process ended without a word"
ZOMBIES = "bitladder: a flow run without heartbeats has crashed"
ANSWER_S = 5.0
SHORT_S = 1.0
NO_ANSWER = (OSError, ValueError, http.client.HTTPException)


def require(url: str, *, within_s: float = ANSWER_S) -> None:
    """Raise ConnectionError unless something that may be a Prefect API answers at `url`.

    A refusal is an answer too: a server may want credentials, which Prefect's own client knows.
    """
    try:
        healthy = ask(f"{url}/health", within_s=within_s)
    except urllib.error.HTTPError:
        return
    except NO_ANSWER as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"no Prefect server answers at {url}: {reason}") from None
    if healthy is not True:
        raise ConnectionError(f"what answers at {url} is not a healthy Prefect server: {healthy!r}")


def answers(url: str, *, within_s: float = ANSWER_S) -> bool:
    try:
        require(url, within_s=within_s)
    except ConnectionError:
        return False
    return True


def ask(url: str, body: dict[str, Any] | None = None, *, within_s: float = ANSWER_S) -> Any:
    """GET, or POST `body`, and return the JSON answer. Raises one of NO_ANSWER."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=within_s) as answer:  # noqa: S310
        return json.load(answer)


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
    with suppress(*NO_ANSWER):
        _crash(url, str(flow_run), why="stopped by a signal", within_s=SHORT_S)


def notice_crashes(url: str) -> None:
    """Have the server mark a flow run as Crashed when its heartbeats stop, as they do after `kill -9`."""
    ends = [f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")]
    known = ask(f"{url}/automations/filter", {})
    if any(automation["name"] == ZOMBIES for automation in known):
        return
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
    ask(f"{url}/automations/", {"name": ZOMBIES, "trigger": trigger, "actions": [action]})


def end_child(url: str, task_run: str) -> UUID | None:
    """The flow run under a task whose process has ended; it is marked Crashed if it did not say its end."""
    try:
        found = _flow_runs(url, {"flow_runs": {"parent_task_run_id": {"any_": [task_run]}}})
        for flow_run in found:
            if flow_run["state_type"] in UNFINISHED:
                _crash(url, flow_run["id"])
        return UUID(found[0]["id"]) if found else None
    except NO_ANSWER:
        return None


def crash_unfinished(url: str) -> None:
    """Mark as Crashed every flow run of `bitladder run` that a dead process left unfinished.

    Only for a server where no other `bitladder run` can be at work.
    """
    state = {"type": {"any_": UNFINISHED}}
    with suppress(*NO_ANSWER):
        left = _flow_runs(url, {"flows": {"name": {"any_": [FLOW]}}, "flow_runs": {"state": state}})
        parents = {"any_": [flow_run["id"] for flow_run in left]}
        if left:
            left += _flow_runs(url, {"flow_runs": {"parent_flow_run_id": parents, "state": state}})
        for flow_run in left:
            _crash(url, flow_run["id"])


def _flow_runs(url: str, chosen: dict[str, Any]) -> list[dict[str, Any]]:
    return list(ask(f"{url}/flow_runs/filter", chosen))


def _crash(url: str, flow_run: str, *, why: str = SILENT_END, within_s: float = ANSWER_S) -> None:
    change = {"state": {"type": "CRASHED", "message": why}, "force": True}
    ask(f"{url}/flow_runs/{flow_run}/set_state", change, within_s=within_s)
    unfinished = {"state": {"type": {"any_": UNFINISHED}}}
    tasks = {"flow_runs": {"id": {"any_": [flow_run]}}, "task_runs": unfinished}
    for task_run in ask(f"{url}/task_runs/filter", tasks, within_s=within_s):
        ask(f"{url}/task_runs/{task_run['id']}/set_state", change, within_s=within_s)
