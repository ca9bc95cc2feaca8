"""A training stage in several processes (`training.processes`), as torchrun starts and restarts them.

The stage that DVC started keeps the lock, the signals, Prefect and the note of the time. Its work is done by
copies of the same command under torchrun's agent, which runs in the stage's own process. Process 0 speaks for
all; what one that fails has to say goes where torchrun looks for it, so it is told once.

When a process is lost (killed, out of memory, hung until the others' patience ends), torchrun ends the rest
and starts all of them again; they go on from the newest state. It may do so while each start gets further
than the one before, and never after an end that would be the same again.

The processes find each other by files, one for each start: torchrun's own store listens on every address of
the machine and asks nobody for a password, and a file that an earlier start used names the dead.
"""

import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows import processes
from pipeline import paths
from pipeline.params import Params
from pipeline.rungs import PRETRAINED, TEACHER

TRAINING = ("pretrained", "teacher", "general", "weights", "weights_activations")
MOST_RESTARTS = 3
GRACE_S = 8  # between telling the processes to end and killing them; less than the stage's own
# Environment variables that the processes find.
PARENT = "BITLADDER_PARENT"  # PID of the stage that started this one; unset under a torchrun by hand
STORE = "BITLADDER_STORE"  # where pipeline/training/parallel.py looks for the file
THREADS_AT_MOST = "BITLADDER_THREADS_AT_MOST"  # where pipeline/training/device.py looks for it
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # where torchrun looks

TELLING = (2, 4, 5, 75)  # exit codes that say why; each process of a run may well end with the same
# Not to be tried again: wrong parameters, a broken input, divergence, another writer, told to stop.
FINAL = {*TELLING, 128 + signal.SIGINT, 128 + signal.SIGTERM}
# How a process ends that was told to; by SIGALRM where it did not within its own time for that.
TOLD = (128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGALRM)

_log = logging.getLogger(__name__)


class OneProcessError(ValueError):
    """Torchrun has started a stage that several processes cannot share."""

    exit_code = 2


@dataclass(frozen=True)
class Ended:
    """How a run of several processes ended."""

    exit_code: int
    said: str


def trains(settings: Params, stage: str) -> bool:
    """Whether this stage trains a model; the pre-trained one and the teacher may be copied instead."""
    is_copied = {PRETRAINED: settings.model.source != "demo", TEACHER: settings.teacher.is_given}
    return stage in TRAINING and not is_copied.get(stage, False)


def serves(settings: Params, stage: str) -> bool:
    """Whether this stage's work is shared by several processes."""
    return trains(settings, stage) and settings.training.processes > 1


def run(settings: Params, stage: str, rung: str | None, address: str) -> None:
    """Do the stage's work in several processes; raises EndedError with what the failing one said."""
    folder = (paths.WORK / "launch" / address).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ.update(_for_processes(settings.training.processes, folder))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # they speak to each other on this machine only
    command = ["-m", "flows.stage", stage, *([rung] if rung else [])]
    try:
        failures = _run_agent(command, settings.training.processes, folder, Restarts(rung or stage, address))
        ended = cause(failures) if failures else None  # what they said lies in the folder
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # if told to stop: they have saved and ended in time
        shutil.rmtree(folder, ignore_errors=True)
    if ended is not None:
        raise processes.EndedError(ended.said, ended.exit_code)


class Restarts:
    """Whether the processes of a model's training are worth starting again."""

    def __init__(self, model: str, address: str) -> None:
        self.model, self.address, self.before = model, address, newest_steps(model)

    def are_worth_it(self, ended: Ended) -> bool:
        """Whether the start that has ended got further than the one before and the next may not end alike."""
        now = newest_steps(self.model)
        further = [step for folder, step in now.items() if step > self.before.get(folder, 0)]
        if ended.exit_code in FINAL or not further:
            return False
        _log.warning("%s: %s; starts again from step %d", self.address, ended.said, max(further))
        self.before = now
        return True


def newest_steps(model: str) -> dict[Path, int]:
    """The step of the newest state of each training of this model, by its folder."""
    return {folder: paths.state_steps(folder)[-1] for folder in paths.trainings(model)}


def cause(failures: Mapping[int, Any]) -> Ended:
    """Of several processes that failed, mostly because one did, the one that says most; by rank.

    A process that was killed says more than one that then lost the connection to it; one that was ended
    because another had failed says least: it was told to, or killed when the time for that was over.
    """
    first = min(failure.timestamp for failure in failures.values())

    def telling(number: int) -> tuple[bool, bool, bool]:
        code, after_s = failures[number].exitcode, failures[number].timestamp - first
        was_ended = code in TOLD or after_s > GRACE_S / 2
        return code not in TELLING, was_ended, code >= 0

    number = min(sorted(failures), key=telling)
    code = failures[number].exitcode
    has_said = Path(failures[number].error_file).is_file()
    said = failures[number].error_file_data["message"] if has_said else ""
    if code in TELLING and said:
        return Ended(code, said)
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return Ended(code if code > 0 else 128 - code, f"process {number}: {said or how}")


def _for_processes(number: int, folder: Path) -> dict[str, str]:
    """Where they find each other, and each one's share of the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own = int(os.environ.get(THREADS_AT_MOST, cores))
    return {
        THREADS_AT_MOST: str(max(1, own // number)),
        PARENT: str(os.getpid()),
        STORE: str(folder / "store"),
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",  # else the agent opens one all the same
        "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGQUIT",  # the others are the stage's
    }


def _run_agent(command: list[str], number: int, folder: Path, restarts: Restarts) -> Mapping[int, Any]:
    """Torchrun from start to end; the processes that failed at last, by rank. What ends this ends them."""
    from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
    from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs
    from torch.distributed.elastic.rendezvous import RendezvousParameters
    from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

    for name in list(logging.root.manager.loggerDict):  # the agent's own account of it, over dozens of lines
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    class Agent(LocalElasticAgent):
        """Torchrun's, which restarts whatever has failed and asks nobody; this one asks."""

        def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
            result: RunResult = super()._monitor_workers(worker_group)
            if result.is_failed() and self._remaining_restarts:
                self._remaining_restarts *= restarts.are_worth_it(cause(result.failures))
            return result

    here, place = "127.0.0.1", str(folder / "rendezvous")
    meeting = RendezvousParameters("c10d", place, "stage", 1, 1, local_addr=here, store_type="file")
    spec = WorkerSpec(
        role="stage",
        local_world_size=number,
        entrypoint=sys.executable,
        args=tuple(command),
        rdzv_handler=get_rendezvous_handler(meeting),
        max_restarts=MOST_RESTARTS,
        monitor_interval=0.1,
        local_addr=here,
    )
    agent = Agent(spec, DefaultLogsSpecs(log_dir=str(folder)), shutdown_timeout=GRACE_S)
    failures: Mapping[int, Any] = agent.run().failures
    return failures


# What follows is for one of the processes.


def is_one() -> bool:
    """Whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def settle(address: str) -> Callable[[str], None]:
    """Die with torchrun, leave the speaking to process 0; returns how to say why this process fails.

    Killed, not told to stop: a process that waits for another does not hear.
    """
    started_by = os.environ.get(PARENT)
    processes.die_with_parent(signal.SIGKILL, parent=int(started_by) if started_by else None)
    stderr = os.dup(2)
    if os.environ["RANK"] != "0" and os.environ.get("BITLADDER_DEBUG") != "1":
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)

    def say(text: str) -> None:
        with suppress(KeyError, OSError):  # in the form of torch.distributed.elastic's own error handler
            note = {"message": text.removeprefix(f"{address}: "), "timestamp": int(time.time())}
            Path(os.environ[ERROR_FILE]).write_text(json.dumps(note), encoding="utf-8")
        if started_by is None:
            os.write(stderr, f"process {os.environ['RANK']}: {text}\n".encode())

    return say


def require_shared(stage: str) -> None:
    """Raises OneProcessError when this stage is not one that trains."""
    if stage not in TRAINING:
        raise OneProcessError("runs in one process; start it without torchrun")


def sole_writer(lock: Path) -> AbstractContextManager[None]:
    """Hold the lock on a stage's output, once for all: the stage that started torchrun does, or process 0."""
    if is_one() and (PARENT in os.environ or os.environ["RANK"] != "0"):
        return nullcontext()
    return processes.sole_writer(lock)
