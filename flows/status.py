"""Which stages DVC would run, and why: its own answer (`dvc status --json`), carried down its own graph.

DVC tells what has changed now. A stage below a changed one is told of only once its inputs have been written
anew, and runs only if they came out different: here it "may run".
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

from flows import graph, timings

TIMEOUT_S = 600  # DVC hashes what it has not seen yet


class NoAnswerError(RuntimeError):
    """DVC could not tell; the message is its own."""


@dataclass(frozen=True)
class StageState:
    """`seconds` is what the stage took the last time it ran here, None if it never did."""

    stage: str
    state: Literal["runs", "may run", "skipped"]
    why: str
    seconds: float | None


def ask() -> list[StageState]:
    """Every stage in the graph's order, inputs first.

    Raises:
        NoAnswerError: there is no DVC repository here, or DVC is busy or broken.
    """
    changed = _changed()
    states: dict[str, StageState] = {}
    for stage, needs in _inputs_first(graph.stages()).items():
        causes = [need for need in needs if states[need].state != "skipped"]
        if stage in changed:
            states[stage] = StageState(stage, "runs", why(changed[stage]), _seconds(stage))
        elif causes:
            states[stage] = StageState(stage, "may run", f"after {', '.join(causes)}", _seconds(stage))
        else:
            states[stage] = StageState(stage, "skipped", "nothing changed", _seconds(stage))
    return list(states.values())


def why(changes: list[Any]) -> str:
    """DVC's list of changes as a sentence: inputs and parameters first, lost outputs after."""
    reasons = []
    for change in changes:
        if change == "always changed":
            reasons.append("runs every time")
        elif isinstance(change, str):
            reasons.append(change)
        elif change.get("changed deps", {}).get("params.yaml") == "new":
            return "not run yet"
        else:
            reasons += [
                reason
                for what in change.values()
                for path, how in what.items()
                for reason in _said(path, how)
            ]
    return "; ".join(reasons)


def _said(path: str, how: str | dict[str, str]) -> list[str]:
    """A file changed as a whole, or the parameters in it that changed."""
    return [f"{path} {how}"] if isinstance(how, str) else [f"{name} {kind}" for name, kind in how.items()]


def _changed() -> dict[str, list[Any]]:
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"dvc status gave no answer in {TIMEOUT_S} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"dvc status ended with {done.returncode}"]
        raise NoAnswerError(lines[0].removeprefix("ERROR: "))
    answer: dict[str, list[Any]] = json.loads(done.stdout or "{}")
    return answer


def _inputs_first(stages: graph.Graph) -> graph.Graph:
    from graphlib import TopologicalSorter

    return {stage: stages[stage] for stage in TopologicalSorter(stages).static_order()}


def _seconds(stage: str) -> float | None:
    last = timings.read(stage)
    return None if last is None else last.seconds
