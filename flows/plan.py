"""`bitladder plan`: the ladder in params.yaml, what DVC would run of it and why, and what that takes.

Touches nothing that DVC keeps.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table

from flows import graph, processes
from flows.estimate import Cost, Estimate, estimate
from flows.graph import StageState
from pipeline import paths
from pipeline.ladder.plan import Plan, Row
from pipeline.ladder.plan import plan as plan_of
from pipeline.params import Params
from pipeline.params_file import load
from pipeline.rungs import PRETRAINED

_WIDEST_REASON = 70


@dataclass(frozen=True)
class Repeat:
    """The ladder from one more seed (`flows/repeat.py`), from the teacher on; `seconds` of what is known.

    Of each model one copy lies in the seed's folder: neither DVC nor MLflow has it.
    """

    seed: int
    stage: str
    models: int
    seconds: float | None
    disk_mib: float | None


@dataclass(frozen=True)
class Totals:
    """What would run, and the whole ladder whether it would or not.

    Attributes:
        minutes, whole_minutes: sums of the stages whose time is known.
        not_counted: stages that would run and whose time is not known.
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
    """All that `bitladder plan` has to say. `silence`: why DVC could not tell what would run."""

    plan: Plan
    estimate: Estimate
    repeats: list[Repeat]
    stages: list[StageState]
    silence: str | None
    seconds: dict[str, float]
    totals: Totals
    notes: list[str]


def main(*, as_json: bool, ask_dvc: bool, measure: bool = True) -> str:
    """What `bitladder plan` prints. The parameters are checked before anything else.

    Raises:
        ParamsError: with every problem of params.yaml.
    """
    params = load(paths.PARAMS)
    found = answer(params, ask_dvc=ask_dvc, measure=measure)
    return json.dumps(_as_json(found), indent=2) if as_json else _as_text(found)


def answer(params: Params, *, ask_dvc: bool, measure: bool) -> Answer:
    plan = plan_of(params)
    try:
        stages, silence = (graph.states(), None) if ask_dvc else ([], None)
    except graph.NoAnswerError as error:
        stages, silence = [], str(error)
    expected = estimate(params, measure=measure, say=_say)
    repeats = _repeats(params, expected)
    seconds = expected.seconds | {f"repeat@{params.seed}": 0.0}  # has nothing to do
    seconds |= {repeat.stage: repeat.seconds for repeat in repeats if repeat.seconds is not None}
    totals = _totals(plan, expected.costs, repeats, stages, seconds)
    notes = [*expected.notes, *_warnings(totals)]
    return Answer(plan, expected, repeats, stages, silence, seconds, totals, notes)


def _repeats(params: Params, expected: Estimate) -> list[Repeat]:
    """One for each seed but the graph's own; the pre-trained model serves all."""
    costs = [cost for name, cost in expected.costs.items() if name != PRETRAINED]
    trainings = [cost.seconds for cost in costs]
    others = [
        expected.seconds.get(stage, 0.0) for stage in (*map("pack@{}".format, params.deliver), "evaluate")
    ]
    return [
        Repeat(
            seed=seed,
            stage=f"repeat@{seed}",
            models=len(costs),
            seconds=_sum([*trainings, *others]),
            disk_mib=_sum([cost.one_copy_mib for cost in costs]),
        )
        for seed in params.seeds
        if seed != params.seed
    ]


def _totals(
    plan: Plan,
    costs: Mapping[str, Cost],
    repeats: Sequence[Repeat],
    stages: Sequence[StageState],
    seconds: Mapping[str, float],
) -> Totals:
    running = {stage.stage for stage in stages if stage.state != "skipped"} if stages else set(seconds)
    rows = [row for row in plan.rows if row.stage in running or not stages]
    repeated = [repeat for repeat in repeats if repeat.stage in running or not stages]
    disk = _sum([*(costs[row.name].disk_mib for row in rows), *(repeat.disk_mib for repeat in repeated)])
    trained = [costs[row.name] for row in plan.rows if row in rows or (repeated and row.name != PRETRAINED)]
    peaks = {
        row.name: costs[row.name].peak_memory_mib or 0.0 for row in plan.rows if costs[row.name] in trained
    }
    largest = max(peaks, key=lambda name: peaks[name]) if any(peaks.values()) else None
    is_known = any(costs[row.name].seconds is not None for row in plan.rows)
    states = max((cost.state_mib or 0.0 for cost in trained), default=0.0)
    return Totals(
        minutes=sum(seconds[stage] for stage in running if stage in seconds) / 60 if is_known else None,
        whole_minutes=sum(seconds.values()) / 60 if is_known else None,
        not_counted=tuple(stage.stage for stage in stages if stage.stage in running - set(seconds)),
        disk_mib=None if disk is None else disk + states,
        free_disk_mib=shutil.disk_usage(".").free / processes.MIB,
        peak_memory_mib=peaks[largest] if largest else None,
        largest=largest,
        available_memory_mib=processes.available_mib(),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    """None where one of them is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


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


def _as_json(found: Answer) -> dict[str, Any]:
    costs = found.estimate.costs
    return {
        **asdict(found.plan),
        "rows": [
            {
                **{name: value for name, value in asdict(row).items() if name != "precision"},
                **dict(zip(("weight_bits", "embedding_bits", "activation_bits"), _bits(row), strict=True)),
                **asdict(costs[row.name]),
                "minutes": _minutes(costs[row.name].seconds),
            }
            for row in found.plan.rows
        ],
        "repeats": [asdict(repeat) for repeat in found.repeats],
        "stages": [
            {**asdict(stage), "planned_seconds": found.seconds.get(stage.stage)} for stage in found.stages
        ],
        "dvc": found.silence,
        "planned_seconds": found.seconds,
        "totals": asdict(found.totals),
        "notes": found.notes,
    }


def _as_text(found: Answer) -> str:
    plan = found.plan
    parts = [
        f"task {plan.task}, model {plan.model}, budget {plan.budget}: "
        f"{len(plan.rows)} models, {len(plan.deliver)} packed",
        _models(plan),
        _costs(plan, found.estimate.costs),
        _said_of_repeats(found.repeats),
        _stages(found.stages, found.seconds),
        f"DVC cannot tell what would run: {found.silence}" if found.silence else "",
        _said_in_all(found.totals, would="What would run: " if found.stages else ""),
        "\n".join(found.notes),
    ]
    return "\n\n".join(part for part in parts if part)


def _models(plan: Plan) -> str:
    rows = [
        (
            *(row.stage.partition("@")[0], row.name, row.parent or "-"),
            *map(str, _bits(row)),
            *(row.data, row.duration, row.init, _number(row.mib, 2)),
        )
        for row in plan.rows
    ]
    return (
        f"{_table(['stage', 'model', 'from', 'W', 'E', 'A', 'data', 'duration', 'init', 'MiB'], rows)}\n"
        "W, E, A: bits of weights, embeddings, activations. MiB: estimate, packed (teacher: fp32).\n"
        "init: the first weights, then what is not usual at these bits."
    )


def _bits(row: Row) -> tuple[int, int, int]:
    return row.precision.weights, row.precision.embeddings, row.precision.activations


def _costs(plan: Plan, costs: Mapping[str, Cost]) -> str:
    rows = [
        (
            *(row.name, _number(costs[row.name].steps, 0), _number(costs[row.name].seconds_per_step, 3)),
            _number(_minutes(costs[row.name].seconds), 1),
            *(_number(costs[row.name].peak_memory_mib, 0), _number(costs[row.name].disk_mib, 1)),
        )
        for row in plan.rows
    ]
    return (
        f"{_table(('model', 'steps', 's/step', 'minutes', 'memory MiB', 'disk MiB'), rows)}\n"
        "minutes: of the training stage, its start and scoring included. memory: at its peak.\n"
        "disk: trained and packed, with the copies that DVC and MLflow keep."
    )


def _said_of_repeats(repeats: Sequence[Repeat]) -> str:
    """All seeds in a sentence: each costs the same."""
    if not repeats:
        return ""
    one, seeds = repeats[0], ", ".join(str(repeat.seed) for repeat in repeats)
    who = f"Seeds {seeds}: each {one.models}" if len(repeats) > 1 else f"Seed {seeds}: {one.models}"
    return (
        f"{who} models once more, from the teacher on: {_number(_minutes(one.seconds), 1)} minutes, "
        f"{_number(one.disk_mib, 1)} MiB of disk; less where some are up to date (.bitladder/seeds/)."
    )


def _stages(stages: Sequence[StageState], seconds: Mapping[str, float]) -> str:
    if not stages:
        return ""
    rows = [
        (
            *(stage.stage, stage.state),
            _number(0.0 if stage.state == "skipped" else seconds.get(stage.stage), 0),
            _number(stage.seconds, 0),
            stage.why if len(stage.why) <= _WIDEST_REASON else f"{stage.why[: _WIDEST_REASON - 3]}...",
        )
        for stage in stages
    ]
    states = [stage.state for stage in stages]
    counts = (
        f"{states.count('runs')} run, {states.count('may run')} may run, {states.count('skipped')} skipped"
    )
    return f"{_table(('DVC stage', '', 's planned', 's last', 'why'), rows)}\n{counts}"


def _said_in_all(totals: Totals, *, would: str) -> str:
    lines = []
    if totals.minutes is not None:
        left_out = f", {', '.join(totals.not_counted)} not counted" if totals.not_counted else ""
        what = f"{would}{totals.minutes:.1f} minutes{left_out}. " if would else ""
        lines.append(f"{what}The whole ladder: {totals.whole_minutes:.1f} minutes, one stage after another.")
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


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = Table(*header, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row)
    shown = StringIO()  # as wide as it is: whoever reads a narrow terminal scrolls
    Console(file=shown, width=10_000, color_system=None, markup=False, emoji=False, highlight=False).print(
        table
    )
    return "\n".join(line.rstrip() for line in shown.getvalue().splitlines())
