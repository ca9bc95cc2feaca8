"""One walk over DVC's graph: each stage starts when all it needs is done, and nothing after a failed stage.

Who runs the stages (Prefect's task runner or plain threads) is given as a function; what a stage is, how it
ended and where its output is shown is the same for both, so a walk that one began the other can finish.

A stage is brought up to date by a child process, `dvc repro --single-item STAGE`: several plain `dvc repro`
lock each other out of the ancestors they share. The child leads a process group of its own, so that stopping
it stops the stage under it, and it is killed if this process is.
"""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from flows import graph, processes
from pipeline.progress import say

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

    def reproduce(self, stage: str, show: Callable[[str], None], *, force: bool = False) -> Outcome:
        """Run the stage to its end, handing each line of its output to `show`; `force`: whatever DVC says."""
        with self._lock:
            if self._stopping:
                return Outcome(stage, "failed", 130)
            child = self._running[stage] = _start(stage, force)
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(line)
            if line.strip() and not line.strip().startswith(CHATTER):
                show(line.rstrip("\n"))
        child.wait()
        with self._lock:
            del self._running[stage]
        return judge(stage, child.returncode, "".join(lines))

    def stop(self) -> None:
        """Start nothing more; interrupt what runs and kill what does not end in time."""
        with self._lock:
            self._stopping = True
            groups = [child.pid for child in self._running.values()]
        # dvc ignores SIGINT while its stage runs and reports the stage's end
        end = partial(processes.end_group, first=signal.SIGINT, grace_s=GRACE_S)
        with ThreadPoolExecutor(max(1, len(groups))) as pool:
            list(pool.map(end, groups))


@dataclass
class Walk:
    """What is to do, what has been done, and whether Prefect still watches."""

    stages: graph.Graph
    jobs: int
    changed: set[str]  # what DVC finds out of date before anything has run
    forced: set[str] = field(default_factory=set)  # outdated, and DVC cannot know it
    watched: bool = True  # until the server is lost
    tell: Callable[[str], None] = say
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    children: Children = field(default_factory=Children)

    def go(self, start: Callable[[str, dict[str, Any]], Any]) -> None:
        """Start every stage in its turn; `start` takes its name and the futures of what it needs, by name."""
        order = TopologicalSorter(self.stages)
        order.prepare()
        futures: dict[str, Any] = {}
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        running = 0
        try:
            while True:
                for stage in order.get_ready():
                    futures[stage] = start(stage, {name: futures[name] for name in self.stages[stage]})
                    futures[stage].add_done_callback(lambda _, stage=stage: ended.put(stage))
                    running += 1
                if not running:
                    return
                stage = ended.get()
                running -= 1
                if self.went_well(stage):
                    order.done(stage)
        except BaseException as stop:
            if not isinstance(stop, Exception):  # Ctrl-C, SIGTERM
                self.children.stop()
            raise

    def do(self, stage: str, log: Callable[[str], None] | None = None) -> Outcome:
        """Bring one stage up to date, unless this walk has tried already; stream what it prints.

        DVC is not asked, a second each time, where nothing up to this stage has changed.
        """
        if stage in self.outcomes:
            return self.outcomes[stage]
        show = partial(self._show, stage, log)
        before = {self.outcomes[needed].how for needed in self.stages[stage]}
        if stage in self.changed | self.forced or before - {"untouched"}:
            self.outcomes[stage] = self.children.reproduce(stage, show, force=stage in self.forced)
        else:
            show(f"{stage}: up to date")
            self.outcomes[stage] = Outcome(stage, "untouched")
        return self.outcomes[stage]

    def went_well(self, stage: str) -> bool:
        return stage in self.outcomes and self.outcomes[stage].how != "failed"

    def go_on_unseen(self, error: Exception) -> None:
        """Say once that Prefect is lost; from here on nothing waits for it."""
        if self.watched:
            self.watched = False
            sys.stderr.write(f"bitladder run: Prefect is lost, the work goes on without it ({error})\n")

    def exit_code(self) -> int:
        """0, or that of the first stage that failed."""
        return next((outcome.exit_code for outcome in self.outcomes.values() if outcome.how == "failed"), 0)

    def summary(self) -> str:
        """One line: how many stages ran or were up to date, which failed and which were not reached."""
        ran, failed = (
            [s for s, each in self.outcomes.items() if each.how == how] for how in ("ran", "failed")
        )
        line = f"{len(ran)} ran, {len(self.outcomes) - len(ran) - len(failed)} up to date"
        if not failed:
            return line
        left = [stage for stage in self.stages if stage not in self.outcomes]
        return f"{line}; failed: {', '.join(failed)}; not run: {', '.join(left) or 'none'}"

    def _show(self, stage: str, log: Callable[[str], None] | None, line: str) -> None:
        named = self.jobs == 1 or line.startswith(f"{stage}:")
        self.tell(line if named else f"{stage} | {line}")
        if log and self.watched:
            log(line)


def judge(stage: str, returncode: int, output: str) -> Outcome:
    """DVC answers 255 to every failure; what the stage itself said is in its text."""
    if returncode == 0:
        return Outcome(stage, "ran" if f"Running stage '{stage}'" in output else "cached")
    if "is being blocked by" in output:
        return Outcome(stage, "failed", processes.BusyError.exit_code)
    said = re.findall(r"exited with (\d+)", output)
    return Outcome(stage, "failed", int(said[-1]) if said and int(said[-1]) in OUR_CODES else 1)


def _start(stage: str, force: bool) -> subprocess.Popen[str]:
    command = ["dvc", "--wait-for-lock", "repro", "--single-item", *(["--force"] if force else []), stage]
    bin_first = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    own = {"PATH": bin_first, "PYTHONUNBUFFERED": "1", "PREFECT_API_URL": ""}  # its task shows it
    return subprocess.Popen(
        [sys.executable, "-m", "flows.processes", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **own},
        process_group=0,
        text=True,
        errors="replace",
    )
