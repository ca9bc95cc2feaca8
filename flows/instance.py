"""Processes recognised by an id in their environment: started, found, asked for ports and stopped by it.

A PID may be given to another process, and a port may be taken by a stranger; a random id in the environment,
which children inherit, cannot be mistaken. Only this user's processes can be looked at, which is enough.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

INSTANCE = "BITLADDER_INSTANCE"
STOP_S = 10


def new_id() -> str:
    return secrets.token_hex(8)


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
            env={**os.environ, **variables, INSTANCE: instance},
            start_new_session=True,
            umask=0o077,
        )
    return process.pid


def stop(instance: str) -> int:
    """End every process of the instance; return how many there were."""
    found = members(instance)
    for process in found:
        _signal(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(found, timeout=STOP_S)
    stubborn += members(instance)
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=STOP_S)
    return len(found)


def _signal(process: psutil.Process, sent: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(sent)


def members(instance: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _instance_of(process) == instance]


def _instance_of(process: psutil.Process) -> str | None:
    try:
        return dict(process.environ()).get(INSTANCE)
    except (psutil.Error, OSError):  # another person's, a zombie, or gone
        return None


def listens(instance: str, port: int) -> bool:
    return any(port in _ports(process) for process in members(instance))


def _ports(process: psutil.Process) -> set[int]:
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {found.laddr.port for found in connections if found.status == psutil.CONN_LISTEN}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
