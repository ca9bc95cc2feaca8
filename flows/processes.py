"""What this process and others are to the machine: who ends with whom, who writes, how much memory.

Measured: `kill -9` of `dvc repro` leaves its stage running, DVC drops the dead PID's lock, and the next
`dvc repro` starts a second writer of the same folder. So a stage asks the kernel to be told when its parent
dies, and holds a lock on its output for as long as it lives.
"""

import ctypes
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import psutil
from filelock import FileLock, Timeout

MIB = 2**20
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h
_SAID_BY_A_PERSON = re.compile(r"MALLOC_(MMAP|TRIM|TOP_PAD)|GLIBC_TUNABLES=.*glibc\.malloc")
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere


class BusyError(RuntimeError):
    """Another process holds the lock."""

    exit_code = 75


class EndedError(RuntimeError):
    """A child did not end well; `exit_code` is its own."""

    def __init__(self, said: str, exit_code: int) -> None:
        super().__init__(said)
        self.exit_code = exit_code


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
    parents = list(psutil.Process().parents())
    depth = next((depth for depth, parent in enumerate(parents, start=1) if _is_dvc(parent)), 1)
    above = parents[:depth]
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
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        pid = path.read_text(encoding="ascii").strip() or "unknown"
        seconds = max(0, round(time.time() - path.stat().st_mtime))
        raise BusyError(
            f"process {pid} has held {path} for {seconds} s; wait for it, or stop it with: kill {pid}"
        ) from None
    try:
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
        yield
    finally:
        lock.release()


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
    members = [process for process in psutil.process_iter() if _group_of(process) == leader]
    deadline = time.monotonic() + grace_s
    with suppress(ProcessLookupError):
        os.killpg(leader, first)
        while any(map(lives, members)) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(leader, signal.SIGKILL)


def exit_at_once(exit_code: int) -> NoReturn:
    """End without the interpreter's own farewell, in which Prefect's threads wait for their server."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return any(Path(word).name == "dvc" for word in process.cmdline()[:4])
    except psutil.Error:
        return False


def _end_with(above: list[psutil.Process]) -> None:
    while all(map(lives, above)):
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _group_of(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def peak_mib() -> float:
    """The most main memory that this process, or one child that has ended, has had at once."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _MAXRSS_UNIT / MIB
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT / MIB
    # Linux's ru_maxrss has what the process that started this one held then: a large test run, say.
    with suppress(OSError):
        told = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
        own = int(told[1]) * 2**10 / MIB if told else own
    return max(own, children)


def keep_what_is_freed() -> bool:
    """Let this process use again what it has freed; return whether anything was changed.

    glibc gives a block of more than 32 MiB back to the kernel and gets pages of zeros for the next one: every
    large tensor of scoring and calibrating, which costs an eighth to a third of scoring's processor time
    (docs/log.md). Other C libraries are left alone, and so is a process that a person has told about it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or any(map(_SAID_BY_A_PERSON.match, map("=".join, os.environ.items()))):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


# `python -m flows.processes MODULE ...` becomes `python -m MODULE ...`, killed with its parent.
if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])  # noqa: S606
