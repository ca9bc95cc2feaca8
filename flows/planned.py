"""What `bitladder plan` knows: the ladder, what DVC would run of it, what that takes, and how that is known.

Touches nothing that DVC keeps. What is measured for it (flows.measure) stays in .bitladder/ for next time.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from flows import measure, memory, status
from flows.measured import Measured
from pipeline.ladder import cost, layers
from pipeline.ladder.cost import Cost
from pipeline.ladder.plan import Plan, plan
from pipeline.ladder.repeats import SHARED, Repeat, repeats
from pipeline.params import Params

SECONDS_FOR_MINUTES = 60
_FAIR_SHARE = 0.75


@dataclass(frozen=True)
class Totals:
    """What would run, and the whole ladder whether it would or not.

    Attributes:
        minutes, whole_minutes: sums of the stages whose time is known.
        not_counted: stages that would run and whose time nobody knows.
        disk_mib: of what would run, and of the largest states while it trains.
        peak_memory_mib, largest: the most memory that one model needs, and which.
    """

    minutes: float | None
    whole_minutes: float | None
    not_counted: tuple[str, ...]
    disk_mib: float | None
    free_disk_mib: float
    peak_memory_mib: float | None
    largest: str | None
    available_memory_mib: float


@dataclass(frozen=True)
class Answer:
    """All that `bitladder plan` has to say. `seconds`: of each DVC stage that anything is known of."""

    planned: Plan
    repeats: list[Repeat]
    costs: dict[str, Cost]
    measured: Measured
    stages: list[status.StageState]
    silence: str | None
    seconds: dict[str, float]
    totals: Totals
    notes: list[str]


def answer(params: Params, *, ask_dvc: bool, anew: bool) -> Answer:
    layers.check(params)
    planned = plan(params)
    try:
        stages, silence = (status.ask(), None) if ask_dvc else ([], None)
    except status.NoAnswerError as error:
        stages, silence = [], str(error)
    measured = measure.measure(params, anew=anew, say=_say)
    costs = cost.costs(params, measured.kinds, measured.rows, copies=_copies())
    last = {stage.stage: stage.seconds for stage in stages}
    again = repeats(params, costs, _evaluate_seconds(params, measured))
    own = {f"repeat@{params.seed}": 0.0}  # has nothing to do
    seconds = own | _seconds(params, planned, costs, measured, last)
    seconds |= {repeat.stage: repeat.seconds for repeat in again if repeat.seconds is not None}
    totals = _totals(planned, again, costs, stages, seconds)
    notes = [*_notes(params, measured), *_warnings(totals)]
    return Answer(planned, again, costs, measured, stages, silence, seconds, totals, notes)


def _seconds(
    params: Params,
    planned: Plan,
    costs: Mapping[str, Cost],
    measured: Measured,
    last: Mapping[str, float | None],
) -> dict[str, float]:
    """Expected seconds of each stage: measured, else what it took the last time, where either is known."""
    expected: dict[str, float | None] = {
        "prepare": measured.prepare_seconds,
        "augment": measured.augment_seconds,
    }
    for row in planned.rows:
        expected[row.stage] = costs[row.name].seconds
        if row.name in params.deliver:
            expected[f"pack@{row.name}"] = costs[row.name].pack_seconds
    expected["evaluate"] = _evaluate_seconds(params, measured)
    known = {stage: seconds for stage, seconds in last.items() if seconds is not None}
    return known | {stage: seconds for stage, seconds in expected.items() if seconds is not None}


def _evaluate_seconds(params: Params, measured: Measured) -> float | None:
    """Every delivered model and the teacher answer all validation splits; the start as that of `pack`."""
    names, rows = ("teacher", *params.deliver), measured.rows
    if rows is None or rows.judged is None or not all(name in measured.kinds for name in names):
        return None
    kinds = [measured.kinds[name] for name in names]
    per_row = sum(kind.packed_seconds_per_row or kind.seconds_per_row for kind in kinds)
    return max(kind.pack_seconds for kind in kinds) + rows.judged * (
        per_row + len(names) * rows.seconds_per_row
    )


def _totals(
    planned: Plan,
    again: Sequence[Repeat],
    costs: Mapping[str, Cost],
    stages: Sequence[status.StageState],
    seconds: Mapping[str, float],
) -> Totals:
    running = {stage.stage for stage in stages if stage.state != "skipped"} if stages else set(seconds)
    rows = [row for row in planned.rows if row.stage in running or not stages]
    disk = [costs[row.name].disk_mib for row in rows]
    repeated = [repeat for repeat in again if repeat.stage in running or not stages]
    disk += [repeat.disk_mib for repeat in repeated]
    trained = [row.name for row in planned.rows if row in rows or (repeated and row.name != SHARED)]
    states = [costs[name].state_mib or 0.0 for name in trained]
    peaks = {name: costs[name].peak_memory_mib or 0.0 for name in trained}
    largest = max(peaks, key=lambda name: peaks[name]) if any(peaks.values()) else None
    known = [row for row in planned.rows if costs[row.name].seconds is not None]
    return Totals(
        minutes=_minutes([seconds[stage] for stage in running if stage in seconds]) if known else None,
        whole_minutes=_minutes(list(seconds.values())) if known else None,
        not_counted=tuple(stage.stage for stage in stages if stage.stage in running - set(seconds)),
        disk_mib=None if None in disk else sum(size or 0.0 for size in disk) + max(states, default=0.0),
        free_disk_mib=shutil.disk_usage(".").free / memory.MIB,
        peak_memory_mib=peaks[largest] if largest else None,
        largest=largest,
        available_memory_mib=memory.available_mib(),
    )


def _minutes(seconds: Sequence[float]) -> float:
    return sum(seconds) / SECONDS_FOR_MINUTES


def _copies() -> int:
    """How often DVC has an output on disk: its cache keeps a copy where it is not told to link."""
    config = ConfigParser(interpolation=None, strict=False)
    config.read([Path(".dvc/config"), Path(".dvc/config.local")], encoding="utf-8")  # the second one wins
    kinds = config.get("cache", "type", fallback="copy")
    return 1 if kinds.startswith(("hardlink", "symlink")) else 2


def _notes(params: Params, measured: Measured) -> list[str]:
    """How the figures came about, and what had to be assumed."""
    notes = [f"{name}: not measured: {reason}" for name, reason in measured.failures.items()]
    if not measured.kinds:
        return notes
    trained = [kind for kind in measured.kinds.values() if kind.steps]
    threads = " or ".join(map(str, sorted({kind.threads for kind in trained})))
    fewest = min((kind.steps for kind in trained), default=0)
    notes.append(
        f"Time: from at least {fewest} real steps of each kind, on {threads} thread{'s' * (threads != '1')}, "
        "for a machine that does nothing else meanwhile."
    )
    share = min((kind.share for kind in trained), default=1.0)
    if share < _FAIR_SHARE:
        notes.append(
            f"Other work left the measured steps {share:.0%} of their processors; if it goes on, everything "
            f"takes up to {1 / share:.1f} times as long."
        )
    if measured.rows is not None and measured.rows.origin == "assumed":
        length = params.task.max_length
        notes.append(
            f"The rows are not there yet: each is taken to have task.max_length ({length}) tokens, and "
            "scoring is not counted. After `dvc repro prepare` the plan knows better."
        )
    if params.training.processes > 1:
        notes.append(
            f"training.processes is {params.training.processes}: measured is one process alone that makes "
            "whole batches. On devices of their own, steps take less; on the same cores they do not."
        )
    return notes


def _warnings(totals: Totals) -> list[str]:
    found = []
    if totals.disk_mib is not None and totals.disk_mib > totals.free_disk_mib:
        found.append(
            f"WARNING: {totals.disk_mib:,.0f} MiB of disk are needed, "
            f"{totals.free_disk_mib:,.0f} MiB are free"
        )
    if totals.peak_memory_mib is not None and totals.peak_memory_mib > totals.available_memory_mib:
        found.append(
            f"WARNING: {totals.largest} needs {totals.peak_memory_mib:,.0f} MiB of memory, "
            f"{totals.available_memory_mib:,.0f} MiB are available"
        )
    return found


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
