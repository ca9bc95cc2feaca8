"""`bitladder deploy` and `bitladder worker`: a work pool of Prefect's, what it can run, and who runs it.

Deployments are `stage/POOL` and `graph/POOL`, after the flows of flows/machines/work.py. They name a Python
module and no place: each worker runs the code of its own clone, and refuses a stage whose code, parameters or
data are not those of the clone that ordered it.
"""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

from flows import servers
from flows.machines import exchange

POOL = "bitladder"
HEARTBEAT_S = 30  # the shortest that Prefect allows
SILENT_S = 60  # after which a flow run is taken for dead
ANY_END = ("Completed", "Failed", "Cancelled", "Crashed")
# The rest of the project only watches Prefect and does not wait for it; here it carries the orders.
PATIENT = {
    "PREFECT_API_REQUEST_TIMEOUT": "60",
    "PREFECT_CLIENT_MAX_RETRIES": "5",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "WARNING",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
}


def shared_prefect() -> str:
    """URL of the API that the machines share: of PREFECT_API_URL, else of `bitladder up` here.

    Raises:
        StartError: there is none, or nothing answers.
    """
    instance = servers.running()
    api = os.environ.get("PREFECT_API_URL") or (instance and f"{instance.server('prefect').url}/api")
    if not api:
        raise servers.StartError(
            "the machines of a pool share one Prefect server: set PREFECT_API_URL=http://SERVER:4200/api "
            "(or, on this machine only, start one with: bitladder up)"
        )
    try:
        servers.require_prefect(api)
    except ConnectionError as error:
        raise servers.StartError(str(error)) from None
    os.environ["PREFECT_API_URL"] = api
    home = Path(os.environ["PREFECT_HOME"])
    home.mkdir(parents=True, exist_ok=True, mode=0o700)  # Prefect makes it later than it needs it
    return api


def deploy(pool: str) -> str:
    """Make the pool unless it is there, both deployments, and the rule for workers that died; say what to do.

    Raises:
        RemoteError: DVC has no remote that machines could share.
        StartError: no Prefect server answers.
    """
    exchange.require_remote()
    api = shared_prefect()
    from prefect.types.entrypoint import EntrypointType

    from flows.machines import work

    _make_pool(pool)
    made = []
    for flow, parameters in ((work.stage, {}), (work.graph, {"pool": pool})):
        runner: Any = flow.to_deployment(
            pool, parameters=parameters, entrypoint_type=EntrypointType.MODULE_PATH
        )
        made.append(runner.apply(work_pool_name=pool))
    _declare_silent_ones_crashed(pool, made)
    return (
        f"At {api}, for the work pool {pool!r}:\n"
        f"  stage/{pool}   one stage; ordered by the graph\n"
        f"  graph/{pool}   the graph; start it with: prefect deployment run graph/{pool}\n"
        f"On every machine, in a clone of this project: bitladder worker --pool {pool}\n"
        f"From this clone: bitladder run --pool {pool}"
    )


def worker(pool: str, jobs: int) -> NoReturn:
    """Become Prefect's worker for this clone, with at most `jobs` flow runs at once.

    Raises:
        RemoteError: DVC has no remote that machines could share.
        StartError: no Prefect server answers.
    """
    exchange.require_remote()
    shared_prefect()
    from flows.machines.work import PROJECT

    here = Path.cwd()
    os.environ.update(PATIENT | {PROJECT: str(here)})
    os.environ["PYTHONPATH"] = os.pathsep.join([str(here), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = ["prefect", "worker", "start", "--type", "process", "--pool", pool, "--limit", str(jobs)]
    name = f"{os.uname().nodename}{here}".replace("/", ":").replace("%", "_")  # which Prefect allows
    command += ["--name", name, "--install-policy", "never"]
    command += ["--no-create-pool-if-not-found"]
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's `&` has it ignored, and Prefect stops by it
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606


def _make_pool(name: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))


def _declare_silent_ones_crashed(pool: str, deployments: list[UUID]) -> None:
    """Prefect's own remedy for a flow run whose process was killed, which otherwise is Running for ever."""
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    beat, ids = "prefect.flow-run.heartbeat", [f"prefect.deployment.{each}" for each in deployments]
    trigger = EventTrigger(
        after={beat},
        expect={beat, *(f"prefect.flow-run.{end}" for end in ANY_END)},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(
            {"prefect.resource.role": "deployment", "prefect.resource.id": ids}
        ),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=SILENT_S),
    )
    message = f"No heartbeat for {SILENT_S} s: the worker or its machine has died"
    crashed = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message, force=True)
    name = f"{pool}: flow runs whose worker died"
    rule: Any = Automation(name=name, enabled=True, trigger=trigger, actions=[crashed])
    try:
        known: Any = Automation.read(name=name)
    except ValueError:
        rule.create()
    else:
        rule.id = known.id
        rule.update()
