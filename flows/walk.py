"""One walk over DVC's graph: each stage starts when all it needs is done, and nothing after a failed stage.

Who runs the stages (Prefect's task runner or plain threads) is given as a function; what a stage is, how it
ended and where its output is shown is the same for both, so a walk that one began the other can finish.
"""

import queue
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from graphlib import TopologicalSorter
from typing import Any
from uuid import UUID

from flows import graph, prefect_server, watched
from flows.reproduce import Children, Outcome


@dataclass
class Walk:
    """What is to do, what has been done, and whether Prefect still watches."""

    stages: graph.Graph
    jobs: int
    changed: set[str]  # what DVC finds out of date before anything has run
    api: str = ""
    watched: bool = True  # until the server is lost
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    flow_runs: dict[str, UUID] = field(default_factory=dict)  # of the stages that ran
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
                    futures[stage].add_done_callback(partial(_put, ended, stage))
                    running += 1
                if not running:
                    return
                stage = ended.get()
                running -= 1
                if self.went_well(stage):
                    order.done(stage)
        except Exception:
            raise
        except BaseException:  # Ctrl-C, SIGTERM
            self.children.stop()
            raise

    def do(self, stage: str, *, task_run: str = "", log: Callable[[str], None] | None = None) -> Outcome:
        """Bring one stage up to date, unless this walk has tried already; stream what it prints."""
        if stage not in self.outcomes:
            show = partial(self._show, stage, log)
            self.outcomes[stage] = self._untouched(stage, show) or self._reproduce(stage, show, task_run)
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
        ran, failed = self._ended("ran"), self._ended("failed")
        line = f"{len(ran)} ran, {len(self.outcomes) - len(ran) - len(failed)} up to date"
        if not failed:
            return line
        left = [stage for stage in self.stages if stage not in self.outcomes]
        return f"{line}; failed: {', '.join(failed)}; not run: {', '.join(left) or 'none'}"

    def _ended(self, how: str) -> list[str]:
        return [stage for stage, outcome in self.outcomes.items() if outcome.how == how]

    def _untouched(self, stage: str, show: Callable[[str], None]) -> Outcome | None:
        """An outcome without asking DVC again, a second each, if nothing up to this stage has changed."""
        before = [self.outcomes[needed].how for needed in self.stages[stage]]
        if stage in self.changed or any(how != "untouched" for how in before):
            return None
        show(f"{stage}: up to date")
        return Outcome(stage, "untouched")

    def _reproduce(self, stage: str, show: Callable[[str], None], task_run: str) -> Outcome:
        variables = {"PREFECT_API_URL": self._watcher(), watched.PARENT: task_run}
        outcome = self.children.reproduce(stage, show, variables)
        if task_run and (flow_run := prefect_server.end_child(self._watcher(), task_run)):
            self.flow_runs[stage] = flow_run
        return outcome

    def _watcher(self) -> str:
        """The API's URL while it answers, else nothing, so that a stage does not wait for a dead server."""
        if self.watched:
            try:
                prefect_server.require(self.api)
            except ConnectionError as error:
                self.go_on_unseen(error)
        return self.api if self.watched else ""

    def _show(self, stage: str, log: Callable[[str], None] | None, line: str) -> None:
        named = self.jobs == 1 or line.startswith(f"{stage}:")
        sys.stdout.write(f"{line}\n" if named else f"{stage} | {line}\n")
        sys.stdout.flush()
        if log and self.watched:
            log(line)


def _put(ended: "queue.SimpleQueue[str]", stage: str, _future: Any) -> None:
    ended.put(stage)
