"""`bitladder up` and `down`: Prefect's and MLflow's servers on loopback, found again and stopped exactly.

`.bitladder/servers.json` holds the ports, the PIDs and the random id by which their processes are recognised.
"""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from bitladder import files
from flows import environment, prefect_server, processes
from flows import instance as instances
from pipeline import paths

STATE = paths.WORK / "servers.json"
START_S = 120  # the first start migrates a new database


@dataclass(frozen=True)
class Server:
    """One running server: what it is, where it answers, its first process."""

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

    exit_code = 1


def up() -> int:
    """Start both servers unless they run; print where they are and how to stop them. Returns an exit code."""
    environment.prepare()
    try:
        with processes.sole_writer(paths.WORK / "locks" / "servers.lock"):
            found = running()
            instance = found or _start_both()
    except (StartError, StateError, processes.BusyError) as error:
        return _refuse("up", error)
    sys.stdout.write(_where(instance, already=found is not None))
    return 0


def down() -> int:
    """Stop what `up` started, and nothing else. Returns an exit code."""
    try:
        instance = _remembered()
    except StateError as error:
        return _refuse("down", error)
    if instance is None:
        sys.stdout.write("No servers are running here.\n")
        return 0
    stopped = instances.stop(instance.id)
    STATE.unlink(missing_ok=True)
    sys.stdout.write(
        f"Stopped the servers ({stopped} processes).\n" if stopped else "They had ended already.\n"
    )
    return 0


def running() -> Instance | None:
    """The instance of the last `up`, if both its servers still listen where the state file says."""
    instance = _remembered()
    if instance is None or not all(
        instances.listens(instance.id, server.port) for server in instance.servers
    ):
        return None
    return instance


@contextmanager
def prefect_for_a_run() -> Iterator[str]:
    """URL of a Prefect API: the one in PREFECT_API_URL, else that of `up`, else a server for this block only.

    Raises:
        ConnectionError: PREFECT_API_URL is set and nothing answers there.
        StartError: the server for this block did not start.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        prefect_server.require(url)
        yield url
    elif instance := running():
        yield _ours(instance.server("prefect"))
    else:
        with _for_this_process() as server:
            yield _ours(server)


@contextmanager
def _for_this_process() -> Iterator[Server]:
    instance = instances.new_id()
    try:
        server = _start_prefect(instance, detached=False)
        _wait_until(_prefect_answers, instance, server)
        yield server
    finally:
        instances.stop(instance)


def _ours(server: Server) -> str:
    """A server of this folder alone, so what it shows as running belongs to a process that has died."""
    prefect_server.crash_unfinished(_api(server.url))
    return _api(server.url)


def _start_both() -> Instance:
    _forget()
    instance = instances.new_id()
    try:
        servers = (_start_prefect(instance, detached=True), _start_mlflow(instance))
        _remember(Instance(instance, servers))
        _wait_until(_prefect_answers, instance, servers[0])
        _wait_until(_mlflow_answers, instance, servers[1])
    except BaseException:
        instances.stop(instance)
        STATE.unlink(missing_ok=True)
        raise
    prefect_server.notice_crashes(_api(servers[0].url))
    return Instance(instance, servers)


def _start_prefect(instance: str, *, detached: bool) -> Server:
    port = instances.free_port()
    url = f"http://127.0.0.1:{port}"
    home = (paths.WORK / "prefect").absolute()
    variables = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": _api(url),
        "PREFECT_SERVER_UI_API_URL": _api(url),  # without it the page asks 127.0.0.1:4200
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    }
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    pid = instances.start(instance, command, variables, home / "server.log", detached=detached)
    return Server("prefect", url, port, pid)


def _start_mlflow(instance: str) -> Server:
    port = instances.free_port()
    home = (paths.WORK / "mlflow").absolute()
    variables = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eleven processes and 2.4 GB otherwise
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(home / "artifacts")]
    command += ["--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"]
    pid = instances.start(instance, command, variables, home / "server.log", detached=True)
    return Server("mlflow", f"http://127.0.0.1:{port}", port, pid)


def _wait_until(answers: Callable[[Server], bool], instance: str, server: Server) -> None:
    """Return when the server listens and answers. Raises StartError with the end of its log."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if instances.listens(instance, server.port) and answers(server):
            return
        if server.pid not in [process.pid for process in instances.members(instance)]:
            raise StartError(f"{server.name} ended while starting:\n{_end_of_log(server.name)}")
        time.sleep(0.2)
    raise StartError(f"{server.name} did not answer within {START_S} s:\n{_end_of_log(server.name)}")


def _prefect_answers(server: Server) -> bool:
    return prefect_server.answers(_api(server.url))


def _mlflow_answers(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/health", timeout=prefect_server.ANSWER_S) as answer:  # noqa: S310
            return bool(answer.read() == b"OK")
    except OSError:
        return False


def _remembered() -> Instance | None:
    try:
        value = files.read_json(STATE)
        return Instance(value["id"], tuple(Server(**server) for server in value["servers"]))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise StateError(f"{STATE} is not what `bitladder up` writes; remove it") from None


def _remember(instance: Instance) -> None:
    files.write_json(STATE, asdict(instance))
    STATE.chmod(0o600)


def _forget() -> None:
    """Stop what is left of an earlier instance that is no longer whole."""
    if instance := _remembered():
        instances.stop(instance.id)
        STATE.unlink(missing_ok=True)


def _api(url: str) -> str:
    return f"{url}/api"


def _end_of_log(name: str, lines: int = 15) -> str:
    log = paths.WORK / name / "server.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _where(instance: Instance, *, already: bool) -> str:
    prefect, mlflow = instance.server("prefect"), instance.server("mlflow")
    return (
        f"{'Already running' if already else 'Running'}, on this machine only:\n"
        f"  Prefect  {prefect.url}   flows, tasks, logs\n"
        f"  MLflow   {mlflow.url}   runs, models, lineage\n"
        "`bitladder run` is shown there by itself; for plain `dvc repro`, first:\n"
        f"  export PREFECT_API_URL={_api(prefect.url)}\n"
        "Stop both with: bitladder down\n"
    )


def _refuse(command: str, error: StartError | StateError | processes.BusyError) -> int:
    sys.stderr.write(f"bitladder {command}: {error}\n")
    return error.exit_code
