"""`bitladder plan`: what is known (flows.planned) of the ladder in params.yaml, shown as text or JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flows import planned as planning
from flows import status
from flows.planned import SECONDS_FOR_MINUTES, Answer, Totals
from pipeline import paths
from pipeline.ladder.cost import Cost
from pipeline.ladder.plan import Plan, Row
from pipeline.ladder.repeats import Repeat
from pipeline.params import load

_WIDEST_REASON = 70


def main(*, as_json: bool, ask_dvc: bool, anew: bool = True) -> str:
    """What `bitladder plan` prints. The parameters are checked first; `anew`: measure what is not known yet.

    Raises:
        ParamsError: with every problem of params.yaml.
    """
    answer = planning.answer(load(paths.PARAMS), ask_dvc=ask_dvc, anew=anew)
    return json.dumps(_as_json(answer), indent=2) if as_json else _as_text(answer)


def _as_json(answer: Answer) -> dict[str, Any]:
    rows = [{**_row_as_json(row), **_cost_as_json(answer.costs[row.name])} for row in answer.planned.rows]
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


def _row_as_json(row: Row) -> dict[str, Any]:
    bits = dict(zip(("weight_bits", "embedding_bits", "activation_bits"), _bits(row), strict=True))
    return {**{name: value for name, value in asdict(row).items() if name != "precision"}, **bits}


def _bits(row: Row) -> tuple[int, int, int]:
    return row.precision.weights, row.precision.embeddings, row.precision.activations


def _cost_as_json(found: Cost) -> dict[str, Any]:
    minutes = None if found.seconds is None else found.seconds / SECONDS_FOR_MINUTES
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
            *(str(bits) for bits in _bits(row)),
            *(row.data, row.duration, row.init),
            "-" if row.mib is None else f"{row.mib:.2f}",
        )
        for row in planned.rows
    ]
    note = (
        "W, E, A: bits of weights, embeddings, activations. MiB: estimate, packed (teacher: fp32).\n"
        "init: the first weights, then what is not usual at these bits."
    )
    return f"{_aligned([header, *rows])}\n{note}"


def _costs(rows: Sequence[Row], costs: Mapping[str, Cost], totals: Totals) -> str:
    header = ["model", "steps", "s/step", "minutes", "memory MiB", "disk MiB"]
    has_gpu = any(costs[row.name].gpu_memory_mib is not None for row in rows)
    lines = []
    for row in rows:
        found = costs[row.name]
        minutes = None if found.seconds is None else found.seconds / SECONDS_FOR_MINUTES
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
    minutes = None if one.seconds is None else one.seconds / SECONDS_FOR_MINUTES
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
