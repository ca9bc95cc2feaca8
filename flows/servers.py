"""`bitladder up` and `down`: Prefect's and MLflow's servers on loopback, found again and stopped exactly.

`.bitladder/servers.json` holds ports, PIDs and a random id. A PID may be given to another process, and a port
may be taken by a stranger; the id in a process's environment, which its children inherit, cannot be mistaken.
Only this user's processes can be looked at, which is enough.
"""

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from bitladder import files
from flows import environment, processes
from pipeline import paths
from pipeline.tracking import links

STATE = paths.WORK / "servers.json"
ID = "BITLADDER_INSTANCE"  # environment variable
START_S = 120  # the first start migrates a new database
STOP_S = 10
PORTS = 20_000, 32_000
FLOW = "bitladder"  # the flow that is the whole graph


@dataclass(frozen=True)
class Server:
    """One running server: what it is, where it answers, its first process. Prefect's API is at `url`/api."""

    name: str
    url: str
    port: int
    pid: int


@dataclass(frozen=True)
class Instance:
    """What one `up` started; `id` is in the environment of all its processes."""

    id: str
    servers: tuple[Server, ...]

    def server(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)


class StartError(RuntimeError):
    """A server ended or did not answer in time."""

    exit_code = 3


class StateError(ValueError):
    """The state file is not readable."""


def up() -> str:
    """Start both servers unless they run; returns where they are and how to stop them.

    Raises:
        StartError: with the end of the server's log.
        StateError: servers.json is not what `up` writes.
        BusyError: another `up` is at it.
    """
    environment.prepare()
    with processes.sole_writer(paths.WORK / "locks" / "servers.lock"):
        found = running()
        instance = found or _start_both()
    prefect, mlflow = instance.server("prefect"), instance.server("mlflow")
    run = newest_run(f"{prefect.url}/api")
    pages = [f"    newest run        {prefect.url}/runs/flow-run/{run}\n"] if run else []
    of_mlflow = [f"    {what:16}  {mlflow.url}/{page}\n" for what, page in links.of_project().items()]
    return (
        f"{'Already running' if found else 'Running'}, on this machine only:\n"
        f"  Prefect  {prefect.url}   flows, tasks, logs\n{''.join(pages)}"
        f"  MLflow   {mlflow.url}   runs, models, lineage\n{''.join(of_mlflow)}"
        "`bitladder run` is shown there by itself, and `dvc repro` shows its stages in Prefect when\n"
        f"PREFECT_API_URL={prefect.url}/api is set.\n"
        "Stop both with: bitladder down"
    )


def newest_run(api: str) -> str | None:
    """The id of the last run of the whole graph, if there was one and a server tells it."""
    wanted = {"limit": 1, "sort": "START_TIME_DESC", "flows": {"name": {"any_": [FLOW]}}}
    found = _asked(f"{api}/flow_runs/filter", wanted)
    return str(found[0]["id"]) if found else None


def let_it_write(api: str, num_tasks: int) -> None:
    """Return when the newest run has so many tasks that have ended, or after some seconds.

    Prefect's server is told of tasks by events, and one that is stopped at once forgets the last of them.
    """
    run, deadline = newest_run(api), time.monotonic() + STOP_S
    ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}}
    wanted = {"flow_runs": {"id": {"any_": [run]}}, "task_runs": ended}
    while run and time.monotonic() < deadline:
        counted = _asked(f"{api}/task_runs/count", wanted)
        if counted is None or counted >= num_tasks:
            return
        time.sleep(0.2)


def _asked(url: str, wanted: Mapping[str, Any]) -> Any:
    """What Prefect answers to a question; None where it does not."""
    body, kind = json.dumps(wanted).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, kind)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return json.load(answer)
    except (OSError, ValueError, http.client.HTTPException):
        return None


def down() -> str:
    """Stop what `up` started, and nothing else; returns what was stopped. Raises StateError as `up` does."""
    instance = _remembered()
    if instance is None:
        return "No servers are running here."
    stopped = stop(instance.id)
    STATE.unlink(missing_ok=True)
    return f"Stopped the servers ({stopped} processes)." if stopped else "They had ended already."


def running() -> Instance | None:
    """The instance of the last `up`, if both its servers still listen where the state file says."""
    instance = _remembered()
    whole = instance and all(listens(instance.id, server.port) for server in instance.servers)
    return instance if whole else None


@contextmanager
def prefect_for_a_run() -> Iterator[str]:
    """URL of a Prefect API: the one in PREFECT_API_URL, else that of `up`, else a server for this block only.

    Raises:
        ConnectionError: PREFECT_API_URL is set and nothing answers there.
        StartError: the server for this block did not start.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        require_prefect(url)
        yield url
        return
    instance, own = running(), secrets.token_hex(8)
    try:
        server = instance.server("prefect") if instance else _start_prefect(own, detached=False)
        _wait_until_it_answers(f"{server.url}/api", instance.id if instance else own, server)
        yield f"{server.url}/api"
    finally:
        stop(own)


def require_prefect(url: str, *, within_s: float = 5.0) -> None:
    """Raise ConnectionError unless a server says at `url`/health that it is well.

    A refusal is an answer too: a server may want credentials, which Prefect's own client knows.
    """
    try:
        urllib.request.urlopen(f"{url}/health", timeout=within_s).close()  # noqa: S310
    except (OSError, ValueError, http.client.HTTPException) as error:
        if getattr(error, "code", None) not in (401, 403):
            why = getattr(error, "reason", error)
            raise ConnectionError(f"no healthy Prefect server answers at {url}: {why}") from None


def start(instance: str, command: list[str], variables: dict[str, str], log: Path, *, detached: bool) -> int:
    """Start `python -m COMMAND` in its own session and return its PID; unless detached it dies with us."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    tether = [] if detached else ["flows.processes"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *tether, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables, ID: instance},
            start_new_session=True,
            umask=0o077,
        )
    return process.pid


def stop(instance: str) -> int:
    """End every process of the instance; return how many there were."""
    found = stubborn = members(instance)
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for process in stubborn:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(sent)
        psutil.wait_procs(stubborn, timeout=STOP_S)
        stubborn = members(instance)
    return len(found)


def members(instance: str) -> list[psutil.Process]:
    """The processes that have the id in their environment."""
    every = psutil.process_iter(["environ"])  # None: another person's, a zombie, or gone
    return [process for process in every if (process.info["environ"] or {}).get(ID) == instance]


def listens(instance: str, port: int) -> bool:
    """Whether a process of the instance listens on the port."""
    with suppress(psutil.Error):
        found = [each for process in members(instance) for each in process.net_connections(kind="tcp")]
        return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found)
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def address(name: str) -> str:
    """Where a server of this project answers, or will once it is started, unless another took its port."""
    instance = running()
    return instance.server(name).url if instance else f"http://127.0.0.1:{usual_port(name)}"


def usual_port(name: str) -> int:
    """The same each time for one folder, so that links stay right; below those that systems give away."""
    told = sha256(f"{name} {Path.cwd()}".encode()).digest()
    return PORTS[0] + int.from_bytes(told[:4]) % (PORTS[1] - PORTS[0])


def port_for(name: str) -> int:
    """Its usual port, another one where that is taken."""
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", usual_port(name)))
        return usual_port(name)
    return free_port()


def _start_both() -> Instance:
    if left := _remembered():  # of an earlier instance that is no longer whole
        stop(left.id)
    own = secrets.token_hex(8)
    try:
        instance = Instance(own, (_start_prefect(own, detached=True), _start_mlflow(own)))
        files.write_json(STATE, asdict(instance))
        STATE.chmod(0o600)
        prefect, mlflow = instance.servers
        _wait_until_it_answers(f"{prefect.url}/api", own, prefect)
        _wait_until_it_answers(mlflow.url, own, mlflow)
    except BaseException:
        stop(own)
        STATE.unlink(missing_ok=True)
        raise
    return instance


def _start_prefect(instance: str, *, detached: bool) -> Server:
    port, home = port_for("prefect") if detached else free_port(), (paths.WORK / "prefect").absolute()
    url = f"http://127.0.0.1:{port}"
    variables = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",  # without it the page asks 127.0.0.1:4200
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    }
    if "?" in str(home):  # at which the address that Prefect makes of it would end
        address = paths.sqlite_address(home / "prefect.db").replace("sqlite", "sqlite+aiosqlite", 1)
        variables["PREFECT_API_DATABASE_CONNECTION_URL"] = address
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    pid = start(instance, command, variables, home / "server.log", detached=detached)
    return Server("prefect", url, port, pid)


def _start_mlflow(instance: str) -> Server:
    port, home = port_for("mlflow"), (paths.WORK / "mlflow").absolute()
    variables = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eleven processes and 2.4 GB otherwise
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", paths.sqlite_address(home / "mlflow.db")]
    command += ["--artifacts-destination", str(home / "artifacts")]
    command += ["--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"]
    pid = start(instance, command, variables, home / "server.log", detached=True)
    return Server("mlflow", f"http://127.0.0.1:{port}", port, pid)


def _wait_until_it_answers(url: str, instance: str, server: Server) -> None:
    """Return when the server listens and answers at `url`. Raises StartError with the end of its log."""
    deadline, what = time.monotonic() + START_S, f"did not answer within {START_S} s"
    while time.monotonic() < deadline:
        with suppress(ConnectionError):
            if listens(instance, server.port):
                require_prefect(url)
                return
        if server.pid not in [process.pid for process in members(instance)]:
            what = "ended while starting"
            break
        time.sleep(0.2)
    log = (paths.WORK / server.name / "server.log").read_text(errors="replace").splitlines()
    raise StartError("\n".join([f"{server.name} {what}:", *log[-15:]]))


def _remembered() -> Instance | None:
    try:
        value = files.read_json(STATE)
        return Instance(value["id"], tuple(Server(**server) for server in value["servers"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise StateError(f"{STATE} is not what `bitladder up` writes; remove it") from None
