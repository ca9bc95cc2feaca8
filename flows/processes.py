"""Processes that leave nothing behind: one that dies with its parent, one writer per output, groups that end.

Measured: `kill -9` of `dvc repro` leaves its stage running, DVC drops the dead PID's lock, and the next
`dvc repro` starts a second writer of the same folder. So a stage asks the kernel to be told when its parent
dies, and holds a lock on its output for as long as it lives.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import psutil

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class BusyError(RuntimeError):
    """Another process holds the lock."""

    exit_code = 75


def die_with_parent(sent: signal.Signals, *, parent: int | None = None) -> None:
    """Have `sent` delivered to this process as soon as its parent ends. Linux; elsewhere nothing happens.

    `parent`: its PID where it is known; one that ended while this interpreter started is missed otherwise.
    """
    parent = parent or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sent))
    if os.getppid() != parent:  # it ended before the kernel was asked
        os.kill(os.getpid(), sent)


def die_with_dvc() -> None:
    """Send this process SIGTERM when the `dvc` above it ends, shells between the two included.

    The kernel reports the parent only, and a shell between the two survives its dvc; so a thread looks once a
    second whether every process up to dvc still lives.
    """
    die_with_parent(signal.SIGTERM)
    above = _processes_up_to_dvc()
    if "DVC_STAGE" in os.environ and [process.pid for process in above] == [1] and not _is_dvc(above[0]):
        os.kill(os.getpid(), signal.SIGTERM)  # dvc ended while this interpreter was starting
    threading.Thread(target=_end_with, args=(above,), daemon=True).start()


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Hold the lock file while the block runs; the kernel drops it when this process ends, however it ends.

    Raises:
        BusyError: another process holds it; the message has its PID and for how long.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(_who_holds(path)) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def lives(process: psutil.Process) -> bool:
    """Whether this very process runs: not a zombie, not another that was given the same PID."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def attend(command: Sequence[str], *, environment: Mapping[str, str], folder: Path | None = None) -> int:
    """Run a child in a process group of its own; its exit code. Whatever ends this function ends the child.

    It is told to end, not killed, so that it can save what it has.
    """
    child = subprocess.Popen(command, cwd=folder, env=environment, process_group=0)
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def end_group(leader: int, *, first: signal.Signals, grace_s: float) -> None:
    """Signal a process group, and kill what is left of it after `grace_s`. A group already gone is fine."""
    if not _signal_group(leader, first):
        return
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline:
        if not _group_lives(leader):
            return
        time.sleep(0.05)
    _signal_group(leader, signal.SIGKILL)


def exit_at_once(exit_code: int) -> NoReturn:
    """End without the interpreter's own farewell, in which Prefect's threads wait for their server."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _processes_up_to_dvc() -> list[psutil.Process]:
    parents = list(psutil.Process().parents())
    depth = next((depth for depth, parent in enumerate(parents, start=1) if _is_dvc(parent)), 1)
    return parents[:depth]


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return any(Path(word).name == "dvc" for word in process.cmdline()[:4])
    except psutil.Error:
        return False


def _end_with(above: list[psutil.Process]) -> None:
    while all(map(lives, above)):
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _who_holds(path: Path) -> str:
    pid = path.read_text(encoding="ascii").strip() or "unknown"
    seconds = max(0, round(time.time() - path.stat().st_mtime))
    return f"process {pid} has held {path} for {seconds} s; wait for it, or stop it with: kill {pid}"


def _signal_group(leader: int, sent: signal.Signals) -> bool:
    try:
        os.killpg(leader, sent)
    except ProcessLookupError:
        return False
    return True


def _group_lives(leader: int) -> bool:
    return any(lives(process) for process in psutil.process_iter() if _group_of(process.pid) == leader)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def main(arguments: list[str]) -> None:
    """`python -m flows.processes MODULE ...`: become `python -m MODULE ...`, killed with its parent."""
    die_with_parent(signal.SIGKILL)
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
