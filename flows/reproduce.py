"""One DVC stage brought up to date by a child process: `dvc repro --single-item STAGE`.

`--single-item`, because several plain `dvc repro` lock each other out of the ancestors they share. The
child leads a process group of its own, so that stopping it stops the stage under it, and it is killed if
this process is.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flows import environment, processes

GRACE_S = 12  # a stage gives itself 10 s to save its work
OUR_CODES = (2, 3, 4, 5, 6, 75)
CHATTER = (
    "Data and pipelines are up to date",
    "To track the changes",
    "git add ",
    "To enable auto staging",
    "dvc config core.autostage",
    "Use `dvc push`",
)


@dataclass(frozen=True)
class Outcome:
    """How a stage ended.

    `cached`: DVC looked and ran nothing, its cache had the output. `untouched`: there was no reason to look.
    """

    stage: str
    how: Literal["ran", "cached", "untouched", "failed"]
    exit_code: int = 0


class Children:
    """The stages that are running now, so that all of them can be stopped."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self._stopping = False

    def reproduce(self, stage: str, show: Callable[[str], None], variables: dict[str, str]) -> Outcome:
        """Run the stage to its end, handing each line of its output to `show`."""
        with self._lock:
            if self._stopping:
                return Outcome(stage, "failed", 130)
            child = self._running[stage] = _start(stage, variables)
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(line)
            if line.strip() and not line.strip().startswith(CHATTER):
                show(line.rstrip("\n"))
        child.wait()
        with self._lock:
            del self._running[stage]
        return _judge(stage, child.returncode, "".join(lines))

    def stop(self) -> None:
        """Start nothing more; interrupt what runs and kill what does not end in time."""
        with self._lock:
            self._stopping = True
            groups = [child.pid for child in self._running.values()]
        stopping = [threading.Thread(target=_stop_group, args=(group,)) for group in groups]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()


def _start(stage: str, variables: dict[str, str]) -> subprocess.Popen[str]:
    inherited = {**os.environ, "PYTHONUNBUFFERED": "1", **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "flows.processes", "dvc", "--wait-for-lock", "repro", "--single-item", stage],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment.with_interpreter_first(inherited, Path(sys.executable)),
        process_group=0,
        text=True,
        errors="replace",
    )


def _stop_group(leader: int) -> None:
    # dvc ignores SIGINT while its stage runs and reports the stage's end
    processes.end_group(leader, first=signal.SIGINT, grace_s=GRACE_S)


def _judge(stage: str, returncode: int, output: str) -> Outcome:
    """DVC answers 255 to every failure; what the stage itself said is in its text."""
    if returncode == 0:
        return Outcome(stage, "ran" if f"Running stage '{stage}'" in output else "cached")
    if "is being blocked by" in output:
        return Outcome(stage, "failed", processes.BusyError.exit_code)
    said = re.findall(r"exited with (\d+)", output)
    return Outcome(stage, "failed", int(said[-1]) if said and int(said[-1]) in OUR_CODES else 1)
