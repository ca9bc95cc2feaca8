"""`bitladder plan`: the ladder that params.yaml describes, and what DVC would run of it. Touches nothing."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from flows import status
from pipeline import paths
from pipeline.ladder.plan import Plan, plan
from pipeline.params import load

_WIDEST_REASON = 90


def main(*, as_json: bool, ask_dvc: bool) -> str:
    """What `bitladder plan` prints. The parameters are checked first.

    Raises:
        ParamsError: with every problem of params.yaml.
    """
    planned = plan(load(paths.PARAMS))
    try:
        stages, silence = (status.ask(), None) if ask_dvc else ([], None)
    except status.NoAnswerError as error:
        stages, silence = [], str(error)
    if as_json:
        answer = {**asdict(planned), "stages": [asdict(stage) for stage in stages], "dvc": silence}
        return json.dumps(answer, indent=2)
    parts = [_heading(planned), _models(planned), _stages(stages)]
    if silence:
        parts.append(f"DVC cannot tell what would run: {silence}")
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


def _stages(stages: Sequence[status.StageState]) -> str:
    if not stages:
        return ""
    rows = [
        (
            stage.stage,
            stage.state,
            "-" if stage.seconds is None else f"{stage.seconds:.0f}",
            stage.why if len(stage.why) <= _WIDEST_REASON else f"{stage.why[: _WIDEST_REASON - 3]}...",
        )
        for stage in stages
    ]
    counts = [f"{sum(row[1] == state for row in rows)} {state}" for state in ("runs", "may run", "skipped")]
    header = ("DVC stage", "", "s last", "why")
    return f"{_aligned([header, *rows])}\n{', '.join(counts).replace('runs', 'run')}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
