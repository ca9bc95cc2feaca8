"""torchrun as a stage starts it: `python -m flows.launch PROCESSES FOLDER MODULE ...`.

The agent is torchrun's own (torch.distributed.launcher), called with three things its command does not offer:
the exit code and the words of the process that failed, left in FOLDER, where the command prints a traceback
and ends with 1; a rendezvous by files in FOLDER, where the command's store, which asks nobody for a password,
listens on every address of the machine; and an end when the stage that started it is gone.
"""

import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bitladder import files
from flows import processes, rank

ENDED = "ended.json"
STORE = "BITLADDER_STORE"  # where pipeline/training/parallel.py looks for the file
GRACE_S = 10  # between telling the other processes to end and killing them
# How a process ends that was told to; by SIGALRM where it did not within its own time for that.
TOLD = (128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGALRM)
TELLING = (2, 4, 5, 75)  # exit codes that say why; each process of a run may well end with the same


@dataclass(frozen=True)
class Ended:
    """How a run of several processes ended, for who has to decide what comes next."""

    exit_code: int
    said: str


def main(arguments: list[str]) -> int:
    """Run MODULE in so many processes and leave how it ended in FOLDER/ended.json; returns the exit code."""
    processes.die_with_parent(signal.SIGKILL, parent=int(os.environ[rank.PARENT]))
    number, folder, command = int(arguments[0]), Path(arguments[1]), arguments[2:]
    os.environ.update(
        {
            rank.PARENT: str(os.getpid()),
            STORE: str(folder / "store"),
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",  # else the agent opens one all the same
        }
    )
    # The processes speak to each other on this machine only; what is set already stays.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    ended = _run(number, folder, command)
    files.write_json(folder / ENDED, asdict(ended))
    return ended.exit_code


def how(exit_code: int) -> str:
    """`was killed by SIGKILL`, or `ended with exit code 1`; negative codes are signals."""
    if exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


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
    return Ended(code if code > 0 else 128 - code, f"process {number}: {said or how(code)}")


def _run(number: int, folder: Path, command: list[str]) -> Ended:
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, launch_agent

    if os.environ.get("BITLADDER_DEBUG") != "1":
        logging.disable()  # the agent's own account of it, over dozens of lines
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=number,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
        run_id="stage",
        rdzv_backend="c10d",
        rdzv_endpoint=str(folder / "rendezvous"),
        rdzv_configs={"store_type": "file"},
        max_restarts=0,
        local_addr="127.0.0.1",
        shutdown_timeout=GRACE_S,
    )
    try:
        launch_agent(config, sys.executable, ["-m", *command])
    except ChildFailedError as error:
        return cause(error.failures)
    except SignalException as told:
        return Ended(128 + told.sigval, "was told to stop")
    return Ended(0, "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
