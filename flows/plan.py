"""`bitladder plan`: the ladder that params.yaml describes, what DVC would run of it, and what that takes.

Touches nothing that DVC keeps. What is measured for it (flows.measure) stays in .bitladder/ for next time.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows import measure, memory, status
from flows.measured import Measured
from pipeline import paths
from pipeline.ladder import cost, layers
from pipeline.ladder.cost import Cost
from pipeline.ladder.plan import Plan, Row, plan
from pipeline.ladder.repeats import SHARED, Repeat, repeats
from pipeline.params import Params, load

_WIDEST_REASON = 70
_SECONDS_FOR_MINUTES = 60
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


def main(*, as_json: bool, ask_dvc: bool, anew: bool = True) -> str:
    """What `bitladder plan` prints. The parameters are checked first; `anew`: measure what is not known yet.

    Raises:
        ParamsError: with every problem of params.yaml.
    """
    answer = _answer(load(paths.PARAMS), ask_dvc=ask_dvc, anew=anew)
    return json.dumps(_as_json(answer), indent=2) if as_json else _as_text(answer)


def _answer(params: Params, *, ask_dvc: bool, anew: bool) -> Answer:
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
    return sum(seconds) / _SECONDS_FOR_MINUTES


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


def _as_json(answer: Answer) -> dict[str, Any]:
    rows = [{**asdict(row), **_cost_as_json(answer.costs[row.name])} for row in answer.planned.rows]
    stages = [
        {**asdict(stage), "planned_seconds": answer.seconds.get(stage.stage)} for stage in answer.stages
    ]
    return {
        **asdict(answer.planned),
        "rows": rows,
        "repeats": [asdict(repeat) for repeat in answer.repeats],
        "stages": stages,
        "dvc": answer.silence,
        "planned_seconds": answer.seconds,
        "totals": asdict(answer.totals),
        "data": None if answer.measured.rows is None else asdict(answer.measured.rows),
        "threads": {name: kind.threads for name, kind in answer.measured.kinds.items()},
        "notes": answer.notes,
    }


def _cost_as_json(found: Cost) -> dict[str, Any]:
    minutes = None if found.seconds is None else found.seconds / _SECONDS_FOR_MINUTES
    return {**asdict(found), "minutes": minutes}


def _as_text(answer: Answer) -> str:
    planned = answer.planned
    parts = [
        _heading(planned),
        _models(planned),
        _costs(planned.rows, answer.costs, answer.totals),
        _repeats(answer.repeats),
        _stages(answer.stages, answer.seconds),
        f"DVC cannot tell what would run: {answer.silence}" if answer.silence else "",
        _total(answer),
        "\n".join(answer.notes),
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(planned: Plan) -> str:
    names = f"task {planned.task}, model {planned.model}, budget {planned.budget}"
    return f"{names}: {len(planned.rows)} models, {len(planned.deliver)} packed"


def _models(planned: Plan) -> str:
    header = ("stage", "model", "from", "W", "E", "A", "data", "duration", "init", "MiB")
    rows = [
        (
            *(row.stage.partition("@")[0], row.name, row.parent or "-"),
            *(str(bits) for bits in (row.weight_bits, row.embedding_bits, row.activation_bits)),
            *(row.data, row.duration, row.init),
            "-" if row.mib is None else f"{row.mib:.2f}",
        )
        for row in planned.rows
    ]
    note = "W, E, A: bits of weights, embeddings, activations. MiB: estimate, packed (teacher: fp32)."
    return f"{_aligned([header, *rows])}\n{note}"


def _costs(rows: Sequence[Row], costs: Mapping[str, Cost], totals: Totals) -> str:
    header = ["model", "steps", "s/step", "minutes", "memory MiB", "disk MiB"]
    has_gpu = any(costs[row.name].gpu_memory_mib is not None for row in rows)
    lines = []
    for row in rows:
        found = costs[row.name]
        minutes = None if found.seconds is None else found.seconds / _SECONDS_FOR_MINUTES
        cells = [
            row.name,
            "-" if found.steps is None else str(found.steps),
            _number(found.seconds_per_step, 3),
            _number(minutes, 1),
            _number(found.peak_memory_mib, 0),
            _number(found.disk_mib, 1),
        ]
        lines.append([*cells, _number(found.gpu_memory_mib, 0)] if has_gpu else cells)
    table = _aligned([[*header, "GPU MiB"] if has_gpu else header, *lines])
    note = (
        "minutes: of the training stage, its start and scoring included. memory: at its peak.\n"
        "disk: trained and packed, with the copies that DVC and MLflow keep."
    )
    return f"{table}\n{note}"


def _repeats(again: Sequence[Repeat]) -> str:
    """All seeds in a sentence: each costs the same."""
    if not again:
        return ""
    one, seeds = again[0], ", ".join(str(repeat.seed) for repeat in again)
    who = f"Seeds {seeds}: each {one.models}" if len(again) > 1 else f"Seed {seeds}: {one.models}"
    minutes = None if one.seconds is None else one.seconds / _SECONDS_FOR_MINUTES
    return (
        f"{who} models once more, from the teacher on: {_number(minutes, 1)} minutes, "
        f"{_number(one.disk_mib, 1)} MiB of disk; less where some are up to date (.bitladder/seeds/)."
    )


def _total(answer: Answer) -> str:
    totals, lines = answer.totals, []
    if totals.minutes is not None and totals.whole_minutes is not None:
        left_out = f", {', '.join(totals.not_counted)} not counted" if totals.not_counted else ""
        would = f"What would run: {totals.minutes:.1f} minutes{left_out}. " if answer.stages else ""
        lines.append(f"{would}The whole ladder: {totals.whole_minutes:.1f} minutes, one stage after another.")
    if totals.largest is not None:
        lines.append(
            f"Memory: {totals.largest} needs the most, {totals.peak_memory_mib:,.0f} MiB; "
            f"{totals.available_memory_mib:,.0f} MiB are available."
        )
    if totals.disk_mib is not None:
        lines.append(
            f"Disk: {totals.disk_mib:,.1f} MiB, what one training keeps to be continued from included; "
            f"{totals.free_disk_mib:,.0f} MiB are free."
        )
    return "\n".join(lines)


def _stages(stages: Sequence[status.StageState], seconds: Mapping[str, float]) -> str:
    if not stages:
        return ""
    rows = [
        (
            stage.stage,
            stage.state,
            _number(0.0 if stage.state == "skipped" else seconds.get(stage.stage), 0),
            _number(stage.seconds, 0),
            stage.why if len(stage.why) <= _WIDEST_REASON else f"{stage.why[: _WIDEST_REASON - 3]}...",
        )
        for stage in stages
    ]
    counts = [f"{sum(row[1] == state for row in rows)} {state}" for state in ("runs", "may run", "skipped")]
    header = ("DVC stage", "", "s planned", "s last", "why")
    return f"{_aligned([header, *rows])}\n{', '.join(counts).replace('runs', 'run')}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
