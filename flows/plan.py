"""`bitladder plan`: the ladder in params.yaml, what DVC would run of it and why, and what that takes.

Touches nothing that DVC keeps.
"""

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from bitladder.packed.size import MIB
from flows import graph
from flows.estimate import Cost, Estimate, estimate
from flows.graph import StageState
from pipeline import paths
from pipeline.ladder import lengths
from pipeline.ladder.plan import Plan, Row
from pipeline.ladder.plan import plan as plan_of
from pipeline.params_file import load

# While it trains a model needs this many times the disk that it keeps: two states to continue from and one
# being written, each of weights, two moments and the best weights, against two copies of the weights.
_STATES = 3 * 4 / 2
_WIDEST_REASON = 70


@dataclass(frozen=True)
class Totals:
    """What would run, and the whole ladder whether it would or not.

    Attributes:
        minutes, whole_minutes: sums of the stages whose time is known.
        not_counted: stages that would run and whose time is not known.
        disk_mib: of what would run, and of the states of the largest model while it trains.
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


def main(*, as_json: bool, ask_dvc: bool, measure: bool = True) -> str:
    """What `bitladder plan` prints. The parameters are checked before anything else.

    Raises:
        ParamsError: with every problem of params.yaml.
    """
    params = load(paths.PARAMS)
    plan, stages, silence = plan_of(params), list[StageState](), None
    try:
        stages = graph.states(lengths.outdated(params)) if ask_dvc else []
    except graph.NoAnswerError as error:
        silence = str(error)
    if measure:
        sys.stderr.write(
            "plan: times a few real training steps of what never ran here; --no-measure leaves them out\n"
        )
    expected = estimate(params, measure=measure)
    totals = _totals(plan, expected, stages)
    notes = [*expected.notes, *_warnings(totals)]
    if others := [str(seed) for seed in params.seeds if seed != params.seed]:
        notes.append(
            f"Not counted: seeds {', '.join(others)}. Each trains the ladder once more, from the teacher on."
        )
    if as_json:
        told = {"dvc": silence, "planned_seconds": expected.seconds, "totals": asdict(totals), "notes": notes}
        return json.dumps(_as_json(plan, expected, stages) | told, indent=2)
    parts = [
        f"task {plan.task}, model {plan.model}, budget {plan.budget}: "
        f"{len(plan.rows)} models, {len(plan.deliver)} packed",
        _models(plan),
        _costs(plan, expected.costs),
        _stages(stages, expected.seconds) if stages else "",
        f"DVC cannot tell what would run: {silence}" if silence else "",
        _in_all(totals, would="What would run: " if stages else ""),
        "\n".join(notes),
    ]
    return "\n\n".join(part for part in parts if part)


def _totals(plan: Plan, expected: Estimate, stages: Sequence[StageState]) -> Totals:
    seconds = expected.seconds
    running = {stage.stage for stage in stages if stage.state != "skipped"} if stages else set(seconds)
    costs = {row.name: expected.costs[row.name] for row in plan.rows if row.stage in running or not stages}
    disk = [cost.disk_mib for cost in costs.values() if cost.disk_mib is not None]
    peaks = {name: cost.peak_memory_mib for name, cost in costs.items() if cost.peak_memory_mib}
    largest = max(peaks, key=lambda name: peaks[name], default=None)
    is_known = any(cost.seconds is not None for cost in expected.costs.values())
    return Totals(
        minutes=sum(seconds.get(stage, 0.0) for stage in running) / 60 if is_known else None,
        whole_minutes=sum(seconds.values()) / 60 if is_known else None,
        not_counted=tuple(stage.stage for stage in stages if stage.stage in running - set(seconds)),
        disk_mib=sum(disk) + _STATES * max(disk) if disk else None,
        free_disk_mib=shutil.disk_usage(".").free / MIB,
        peak_memory_mib=peaks[largest] if largest else None,
        largest=largest,
        available_memory_mib=psutil.virtual_memory().available / MIB,
    )


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


def _as_json(plan: Plan, expected: Estimate, stages: Sequence[StageState]) -> dict[str, Any]:
    rows = []
    for row in plan.rows:
        cost, bits = expected.costs[row.name], ("weight_bits", "embedding_bits", "activation_bits")
        rows.append(asdict(row) | asdict(cost) | dict(zip(bits, _bits(row), strict=True)))
        rows[-1]["minutes"] = cost.minutes
        del rows[-1]["precision"]
    states = [asdict(stage) | {"planned_seconds": expected.seconds.get(stage.stage)} for stage in stages]
    return asdict(plan) | {"rows": rows, "stages": states}


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
            _number(costs[row.name].minutes, 1),
            *(_number(costs[row.name].peak_memory_mib, 0), _number(costs[row.name].disk_mib, 1)),
        )
        for row in plan.rows
    ]
    return (
        f"{_table(('model', 'steps', 's/step', 'minutes', 'memory MiB', 'disk MiB'), rows)}\n"
        "minutes: of the training stage, its start included. memory: at its peak.\n"
        "disk: trained and packed, with the copies that DVC and MLflow keep."
    )


def _stages(stages: Sequence[StageState], seconds: Mapping[str, float]) -> str:
    rows = [
        (
            *(stage.stage, stage.state),
            _number(0.0 if stage.state == "skipped" else seconds.get(stage.stage), 0),
            _number(stage.seconds, 0),
            textwrap.shorten(stage.why, _WIDEST_REASON, placeholder=" ..."),
        )
        for stage in stages
    ]
    known = Counter(stage.state for stage in stages)
    counts = f"{known['runs']} run, {known['may run']} may run, {known['skipped']} skipped"
    return f"{_table(('DVC stage', '', 's planned', 's last', 'why'), rows)}\n{counts}"


def _in_all(totals: Totals, *, would: str) -> str:
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


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As wide as it is: whoever reads a narrow terminal scrolls."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows))
