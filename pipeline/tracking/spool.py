"""The curves that trainings left in `.bitladder/spool/<task>/`, as pipeline/training/live.py writes them.

Reading never trusts a line: one that was torn is passed over, and of a step that was told twice, because a
training was resumed before it, the last word counts.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pipeline import paths
from pipeline.tracking.execution import finite
from pipeline.training.live import Status

HOME = paths.WORK / "spool"
LOCKS = paths.WORK / "locks"
METRICS = {"loss": "training/loss", "score": "training/score"}
LARGEST = 2**63 - 1  # of a step or a time, for MLflow's database


@dataclass(frozen=True)
class Curve:
    """One training, as far as it was told.

    Attributes:
        started, ended: ms since 1970; `ended` is None while it runs.
        status: RUNNING, or how it ended. A process that ended without a word was killed.
        points: value by metric and step.
        size_bytes: of the file when it was read.
    """

    path: Path
    task: str
    name: str
    fingerprint: str
    started: int
    ended: int | None
    status: str
    points: dict[tuple[str, int], float]
    size_bytes: int

    @property
    def steps(self) -> list[int]:
        return sorted({step for _, step in self.points})


@dataclass(frozen=True)
class Stamp:
    """What changes when there is something new to deliver."""

    size_bytes: int
    lives: bool


def folder(task: str) -> Path:
    return HOME / task


def waiting() -> list[Path]:
    """Every spool file, delivered or not: `bitladder sync` and `register` remove what is."""
    return sorted(HOME.glob("*/*.jsonl"))


def stamp(path: Path) -> Stamp | None:
    """None when the file is gone."""
    try:
        # Whether it lives comes first: what is read after its end is all there will be.
        lives = _writer_lives(path)
        return Stamp(path.stat().st_size, lives)
    except FileNotFoundError:
        return None


def read(path: Path) -> Curve | None:
    """The curve in a spool file; None when the file is gone or does not begin yet."""
    found = stamp(path)
    if found is None:
        return None
    content = path.read_bytes()
    events = [*_events(content)]
    starts = [event for event in events if _is_start(event)]
    if not starts:
        return None
    status, ended = _how_it_stands(path, events, lives=found.lives)
    return Curve(
        path=path,
        task=path.parent.name,
        name=starts[0]["name"],
        fingerprint=starts[0]["fingerprint"],
        started=starts[0]["start"],
        ended=ended,
        status=status,
        points=dict(_points(events)),
        size_bytes=len(content),
    )


def lock(path: Path) -> Path:
    """Held while one process delivers the file."""
    return LOCKS / f"spool-{path.parent.name}-{path.stem}.lock"


def discard(curve: Curve) -> bool:
    """Remove a spool file that was delivered; not if its training goes on or has said more meanwhile."""
    try:
        with curve.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_size != curve.size_bytes:
                return False
            curve.path.unlink()
            return True
    except (BlockingIOError, FileNotFoundError):
        return False


def _writer_lives(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _events(content: bytes) -> Iterator[dict[str, Any]]:
    # The last piece is empty, or a line that is being written.
    for line in content.split(b"\n")[:-1]:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def _is_start(event: dict[str, Any]) -> bool:
    texts = (event.get("name"), event.get("fingerprint"))
    return _is_count(event.get("start")) and all(isinstance(text, str) for text in texts)


def _is_end(event: dict[str, Any]) -> bool:
    return event.get("end") in get_args(Status) and _is_count(event.get("at"))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _how_it_stands(path: Path, events: list[dict[str, Any]], *, lives: bool) -> tuple[str, int | None]:
    """The status and, unless it runs, when it ended."""
    last = next(event for event in reversed(events) if _is_end(event) or _is_start(event))
    if _is_end(last):
        return last["end"], last["at"]
    return ("RUNNING", None) if lives else ("KILLED", path.stat().st_mtime_ns // 1_000_000)


def _points(events: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, int], float]]:
    for event in events:
        for column, metric in METRICS.items():
            value = finite(event.get(column))
            if _is_count(event.get("step")) and value is not None:
                yield (metric, event["step"]), value
