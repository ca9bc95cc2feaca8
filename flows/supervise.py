"""A training stage in several processes: torchrun starts them, this looks after it.

The stage that DVC started keeps the lock, the signals, Prefect and the note of the time; its work is done by
`training.processes` copies of the same command under torchrun. When one is lost (killed, out of memory, hung
until the others' patience ends), torchrun ends the rest, and a fresh torchrun is started that goes on from
the newest state: not one of torchrun's own restarts, which hand gloo's processes the addresses of the dead.
Starting again is worth it only while each start gets further than the one before.
"""

import logging
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from bitladder import files
from flows import launch, processes, rank
from pipeline import paths
from pipeline.params import Params
from pipeline.training import state_folders

MOST_LAUNCHES = 4
THREADS_AT_MOST = "BITLADDER_THREADS_AT_MOST"  # where pipeline/training/device.py looks for it
# Not to be tried again: wrong parameters, a broken input, divergence, another writer, told to stop.
FINAL = {2, 4, 5, 75, 128 + signal.SIGINT, 128 + signal.SIGTERM}

_log = logging.getLogger(__name__)


class LostProcessError(RuntimeError):
    """The processes ended before the work was done; `exit_code` is that of the one that failed."""

    def __init__(self, said: str, exit_code: int) -> None:
        super().__init__(said)
        self.exit_code = exit_code


def serves(settings: Params, stage: str) -> bool:
    """Whether this stage's work is shared by several processes."""
    return rank.trains(settings, stage) and settings.training.processes > 1


def run(settings: Params, stage: str, rung: str | None, address: str) -> None:
    """Do the stage's work in several processes; raises LostProcessError with what the failing one said."""
    model = rung or stage
    environment = {**os.environ, **_for_processes(settings.training.processes)}
    for number in range(1, MOST_LAUNCHES + 1):
        before = newest_steps(model)
        ended = _launch(settings.training.processes, stage, rung, address, environment)
        if ended.exit_code == 0:
            return
        further = [step for folder, step in newest_steps(model).items() if step > before.get(folder, 0)]
        if ended.exit_code in FINAL or number == MOST_LAUNCHES or not further:
            raise LostProcessError(ended.said, ended.exit_code)
        _log.warning("%s: %s; starts again from step %d", address, ended.said, max(further))


def newest_steps(model: str) -> dict[Path, int]:
    """The step of the newest state of each training of this model, by its folder."""
    return {
        folder: state_folders.steps(folder)[-1] for folder in state_folders.trainings(paths.states_dir(model))
    }


def _for_processes(number: int) -> Mapping[str, str]:
    """Each one's share of the cores that this process may use."""
    return {THREADS_AT_MOST: str(max(1, _cores() // number)), rank.PARENT: str(os.getpid())}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _launch(
    number: int, stage: str, rung: str | None, address: str, environment: Mapping[str, str]
) -> launch.Ended:
    """One torchrun from start to end. Whatever ends this function ends its processes."""
    folder = (paths.WORK / "launch" / address).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "flows.launch", str(number), str(folder), "flows.stage", stage]
    # Told to end, torchrun passes it on to its processes.
    exit_code = processes.attend([*command, rung] if rung else command, environment=environment)
    ended = _ended(folder, exit_code)
    shutil.rmtree(folder, ignore_errors=True)
    return ended


def _ended(folder: Path, exit_code: int) -> launch.Ended:
    note = folder / launch.ENDED
    if note.exists():
        return launch.Ended(**files.read_json(note))
    return launch.Ended(exit_code if exit_code >= 0 else 128 - exit_code, f"torchrun {launch.how(exit_code)}")
