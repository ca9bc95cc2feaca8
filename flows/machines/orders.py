"""The stages of a walk, run by the workers of a pool instead of by this computer.

Each stage is one flow run of the deployment stage/POOL. Prefect brings it to a worker and tells how it ended;
whether it is done is told by DVC: its entry in the shared run cache, from which this clone takes the outputs.
A flow run that crashed, its worker or machine having died, is ordered again, and goes on where the training
had come to.
"""

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flows.machines import exchange
from flows.machines.deploy import SILENT_S
from flows.walk import Children, Outcome

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

# Their results are files that Git keeps, speeds of this computer, and what MLflow is told of this clone.
AT_HOME = ("evaluate", "report", "register")
ATTEMPTS = 3
POLL_S = 1.0
UNTAKEN_S = 60.0  # after which it is said that no worker takes a stage
LOST_S = 600.0  # as long as Prefect's server may be away
SIDE_BY_SIDE = 32  # stages ordered at once; how many run is the workers' number


class LostError(RuntimeError):
    """Prefect's server has been away for too long."""

    exit_code = 3


class PoolChildren(Children):
    """Children that run on the machines of a pool; a few stages stay at home."""

    def __init__(self, pool: str) -> None:
        super().__init__()
        self.pool = pool
        self._ordered: dict[str, Any] = {}
        self._ended = threading.Event()

    def reproduce(self, stage: str, show: Callable[[str], None], *, force: bool = False) -> Outcome:
        """As of Children; a stage that some clone has finished already is only fetched."""
        if stage.partition("@")[0] in AT_HOME:
            return super().reproduce(stage, show, force=force)
        try:
            order = exchange.order(stage)
            if not force and exchange.restore(stage):
                return super().reproduce(stage, show)
            code = self._have_run(order, show, force)
            if code:
                return Outcome(stage, "failed", code)
            if not exchange.restore(stage):
                show(f"{stage}: its flow run is Completed, but DVC's remote has no run of these inputs")
                return Outcome(stage, "failed", 1)
            taken = super().reproduce(stage, show)
            return taken if taken.how == "failed" else Outcome(stage, "ran")
        except Exception as error:
            show(f"{stage}: {error}")
            return Outcome(stage, "failed", int(getattr(error, "exit_code", 1)))

    def stop(self) -> None:
        """Also cancel what was ordered: workers end it as a signal would, and its state is kept."""
        from prefect.client.orchestration import get_client
        from prefect.states import Cancelling

        self._ended.set()
        super().stop()
        for run in [*self._ordered.values()]:
            with suppress(Exception), get_client(sync_client=True) as client:  # a dead server keeps nobody
                client.set_flow_run_state(run, Cancelling(), force=True)

    def _have_run(self, order: exchange.Order, show: Callable[[str], None], force: bool) -> int:
        """Order the stage until a flow run of it ends by itself; its exit code."""
        from prefect.client.orchestration import get_client

        parameters = {"name": order.stage, "inputs": order.inputs, "needs": order.needs, "again": force}
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(f"stage/{self.pool}").id
            for attempt in range(1, ATTEMPTS + 1):
                run = going_on(client, deployment, order) or client.create_flow_run_from_deployment(
                    deployment, parameters=parameters, name=order.stage
                )
                show(f"{order.stage}: ordered from the pool {self.pool!r}, flow run {run.id}")
                self._ordered[order.stage] = run.id
                ended = self._wait(client, run, show)
                del self._ordered[order.stage]
                state = ended.state
                assert state is not None
                show(f"{order.stage}: {state.name} after {ended.total_run_time.total_seconds():.0f} s")
                if state.is_completed():
                    return 0
                show(f"{order.stage}: {state.message}")
                if not state.is_crashed():
                    return code_in(state.message)
                if attempt < ATTEMPTS:
                    show(f"{order.stage}: ordered again ({attempt + 1} of {ATTEMPTS})")
        return 1

    def _wait(self, client: "SyncPrefectClient", run: "FlowRun", show: Callable[[str], None]) -> "FlowRun":
        """The flow run when it has ended. One that a worker took and never began is declared crashed.

        Raises:
            LostError: Prefect has not answered for LOST_S.
        """
        from prefect.states import Crashed

        said, since, answered = False, time.monotonic(), time.monotonic()
        name = None
        while not self._ended.is_set():
            try:
                run = client.read_flow_run(run.id)
            except Exception as error:
                if time.monotonic() - answered > LOST_S:
                    raise LostError(f"Prefect has not answered for {LOST_S:.0f} s ({error})") from None
                time.sleep(POLL_S)
                continue
            answered, state = time.monotonic(), run.state
            assert state is not None
            if state.is_final():
                return run
            if state.name != name:
                name, since = state.name, time.monotonic()
            waited = time.monotonic() - since
            if state.is_scheduled() and waited > UNTAKEN_S and not said:
                said = True
                show(f"{run.name}: no worker takes it; start one: bitladder worker --pool {self.pool}")
            if state.is_pending() and waited > 2 * SILENT_S:
                client.set_flow_run_state(run.id, Crashed(message="taken, and never begun"), force=True)
            self._ended.wait(POLL_S)
        raise LostError("stopped")


def going_on(client: "SyncPrefectClient", deployment: "UUID", order: exchange.Order) -> "FlowRun | None":
    """The flow run of the very same order that has not ended: of a walk that was killed, say."""
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    types = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
    wanted = filters.FlowRunFilter(
        name=filters.FlowRunFilterName(any_=[order.stage]),
        deployment_id=filters.FlowRunFilterDeploymentId(any_=[deployment]),
        state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=types)),
    )
    found = client.read_flow_runs(flow_run_filter=wanted)
    return next((run for run in found if run.parameters.get("inputs") == order.inputs), None)


def code_in(message: str | None) -> int:
    """The exit code that a stage's flow run tells in the last words of its message; 1 where it does not."""
    said = re.findall(r"exit code (\d+)", message or "")
    return int(said[-1]) if said else 1
