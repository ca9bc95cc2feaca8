"""What the plan's models cost: measured kinds of training, kept in .bitladder/timings/steps.json.

A kind (flows.kinds) that was measured before is not measured again; what is missing is rehearsed by a process
of its own (flows.rehearsal), so that nothing heavy is imported here.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bitladder import files
from flows import environment, kinds, measured, rehearsal
from flows.measured import Measured
from pipeline import paths
from pipeline.params import Params

CACHE = paths.WORK / "timings" / "steps.json"
SCRATCH = paths.WORK / "rehearsals"
Kept = dict[str, dict[str, Any]]


def measure(params: Params, *, anew: bool, say: Callable[[str], None]) -> Measured:
    """What is known of each model; with `anew`, what is missing is measured first."""
    names = ("pretrained", "teacher", *params.rungs)
    keys = {name: kinds.key(params, name) for name in (*names, *kinds.PIECES)}
    kept = read_cache()
    failures: dict[str, str] = {}
    representatives = {keys[name]: name for name in reversed(names)}  # the first of each kind
    missing = [name for k, name in representatives.items() if k not in kept]
    if anew and (missing or keys["rows"] not in kept):
        rungs = [name for name in params.rungs if name in missing]
        for piece, answer in _rehearse(rungs, say):
            if "error" in answer:
                failures[piece] = answer["error"]
            else:  # kept at once: whoever interrupts has lost one piece
                kept = read_cache() | {keys[piece]: answer}
                write_cache(kept)
    return measured.assembled(params, {name: kept[k] for name, k in keys.items() if k in kept}, failures)


def read_cache() -> Kept:
    """What was measured before in this setting; nothing when the file is missing or damaged."""
    try:
        kept = files.read_json(CACHE)
        return dict(kept["pieces"]) if kept["setting"] == kinds.setting() else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def write_cache(kept: Kept) -> None:
    """What was measured with other code, libraries or threads is forgotten."""
    files.write_json(CACHE, {"setting": kinds.setting(), "pieces": kept})


def _rehearse(rungs: list[str], say: Callable[[str], None]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a rehearsal; each piece and what it found, as it finds it, or `error`."""
    say("plan: a few real steps of each kind of training, to see what they take; kept for the next time")
    start: dict[str, Any] = {}
    with _scratch() as folder:
        files.write_json(folder / rehearsal.REQUEST, {"rungs": rungs})
        for answer in _answers(folder):
            piece = answer.pop("piece")
            if piece == "start":
                start = answer
                continue
            if "error" not in answer:
                answer["start_seconds"] = start["rows" if piece == "rows" else "training"]
            if told := _told(answer):
                say(f"plan: {piece}: {told}")
            yield piece, answer


def _told(answer: Mapping[str, Any]) -> str:
    """What is said of a piece while others are measured; nothing of those that train nothing."""
    if "error" in answer:
        return f"not measured: {answer['error']}"
    if not answer.get("durations"):
        return ""
    pace = statistics.median(wall for wall, _ in answer["durations"])
    return f"{_duration(pace)} a step, {answer['peak_mib']:.0f} MiB at its peak"


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for one rehearsal; those of processes that have died are removed."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    for left in SCRATCH.iterdir():
        if left.name.isdecimal() and not psutil.pid_exists(int(left.name)):
            shutil.rmtree(left, ignore_errors=True)
    folder = SCRATCH / str(os.getpid())
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(folder: Path) -> Iterator[dict[str, Any]]:
    """What the rehearsal tells, as it tells it; it ends with this process."""
    with (folder / rehearsal.LOG).open("a") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "flows.rehearsal", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment.unwatched(),
            text=True,
        )
    try:
        assert child.stdout is not None
        for line in child.stdout:
            yield json.loads(line)
        if child.wait() not in (0, rehearsal.GIVEN_UP):
            last = (folder / rehearsal.LOG).read_text(errors="replace").strip().splitlines() or ["no word"]
            yield {"piece": "rehearsal", "error": last[-1]}
    finally:
        child.kill()
        child.communicate()


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
