"""What a ladder will take: minutes, memory and disk, from a few real training steps (`flows.step_seconds`).

A model that was trained here before (`flows.timings`) is expected to take as long again, step for step. All
else is arithmetic. Nothing here raises: what cannot be told is None, and a note says why.
"""

import time
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bitladder import files
from bitladder.packed.size import MIB
from flows import processes, timings
from flows.timings import Timing
from pipeline import paths
from pipeline.ladder import sizes
from pipeline.ladder.sizes import Shape
from pipeline.params import Params
from pipeline.rungs import PRETRAINED, TEACHER

FLOAT_BYTES = 4
WEIGHTS_IN_MEMORY = (
    6  # of a model in training: itself, gradients, two moments, the best and the first weights
)
# What is kept to continue from: two states and one being written, of weights, two moments, the best weights.
WEIGHTS_IN_STATES = 3 * 4
SMALL_FILES_BYTES = 16 * 2**10  # beside each model's weights: a record, a curve, a config
FORWARD_SHARE = 1 / 3  # of a step: the backward pass costs twice as much


@dataclass(frozen=True)
class Cost:
    """Of one model; None where it is not known.

    Attributes:
        steps: of training, 0 for a model that comes trained.
        seconds: of the stage that trains it, its start and scoring included.
        peak_memory_mib: where it trains: on the GPU if there is one.
        disk_mib: trained and packed, with the copies that DVC and MLflow keep.
        one_copy_mib: trained and packed, once.
        state_mib: what it can be continued from, on top of that while it trains.
    """

    steps: int | None = None
    seconds_per_step: float | None = None
    seconds: float | None = None
    peak_memory_mib: float | None = None
    disk_mib: float | None = None
    one_copy_mib: float | None = None
    state_mib: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What is known before anything runs.

    Attributes:
        costs: by model.
        seconds: by DVC stage, of those whose time is known.
        notes: how the figures came about, and why some are missing.
    """

    costs: dict[str, Cost]
    seconds: dict[str, float]
    notes: list[str]


def estimate(params: Params, *, measure: bool, say: Callable[[str], None]) -> Estimate:
    """What each model and each stage takes. `measure`: time steps of the models that never trained here."""
    rows, shape, names = count_rows(params), sizes.shape_of(params), (PRETRAINED, TEACHER, *params.rungs)
    costs = {name: Cost(num_steps(params, name, rows)) for name in names}
    last = {name: found for name in names if (found := _last(params, name)) is not None}
    costs |= {name: _as_last_time(costs[name], found) for name, found in last.items()}
    notes = []
    if any(cost.steps is None for cost in costs.values()):
        notes.append("Epochs become steps once the rows are counted: after `dvc repro prepare augment`.")
    missing = [name for name in names if name not in last and costs[name].steps != 0]
    if measure and missing and shape is None:
        notes.append("No time: the pre-trained model's sizes are not known here yet. Its stage fetches it.")
    elif measure and missing and shape is not None:
        if params.training.processes > 1:
            notes.append(
                "Timed is one process that makes whole batches; several on devices of their own are faster."
            )
        say("plan: timing a few real training steps; without: --no-measure")
        selection = rows["selection"] or 0
        costs |= _timed(params, shape, selection, {name: costs[name] for name in missing}, notes)
    if shape is not None:
        costs = {name: _with_disk(params, name, shape, cost) for name, cost in costs.items()}
    return Estimate(costs, _stages(params, costs), notes)


def stage_of(params: Params, name: str) -> str:
    """The DVC stage that trains a model: `teacher`, `weights@w1`."""
    return f"{params.rungs[name].stage}@{name}" if name in params.rungs else name


def count_rows(params: Params) -> dict[str, int | None]:
    """Rows to learn from, `plain` and `augmented`, and `selection`, as the stages that made them have counted
    them; None before that."""
    splits = _summary(params.task.name, "plain").get("splits", {})
    plain, selection = (splits.get(name, {}).get("rows") for name in ("train", "selection"))
    augmented = sum(_summary(params.task.name, "augmented").get("rows", {}).values()) or None
    return {"plain": plain, "augmented": augmented, "selection": selection}


def num_steps(params: Params, name: str, rows: Mapping[str, int | None]) -> int | None:
    """Steps of a training, 0 where a model comes trained; None in epochs of rows that nobody has counted."""
    if name == PRETRAINED and params.model.source != "demo":
        return 0
    duration, num_rows = params.budget.teacher, rows["plain"]
    if name == PRETRAINED:
        duration = params.budget.pretraining
        num_rows = params.task.generator.corpus_rows if params.task.generator else None
    elif name in params.rungs:
        duration, num_rows = params.duration_of(params.rungs[name]), rows[params.rungs[name].data]
    if duration.steps is None and num_rows is None:
        return None
    return duration.count_steps(num_rows=num_rows or 0, batch_size=_batch_size(params, name))


def copies_of_outputs() -> int:
    """How often DVC has an output on disk: its cache keeps a copy where it is not told to link."""
    config = ConfigParser(interpolation=None, strict=False)
    config.read([Path(".dvc/config"), Path(".dvc/config.local")], encoding="utf-8")  # the second one wins
    return 1 if config.get("cache", "type", fallback="copy").startswith(("hardlink", "symlink")) else 2


def _batch_size(params: Params, name: str) -> int:
    training = params.training
    if name in params.rungs:
        return params.optimization_of(params.rungs[name]).batch_size
    return (training.teacher if name == TEACHER else training.pretraining).batch_size


def _summary(task: str, kind: str) -> dict[str, Any]:
    try:
        found = files.read_json(paths.data_dir(task, kind) / "summary.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _last(params: Params, name: str) -> Timing | None:
    """The model's last training here, if it was on this task and from this pre-trained model."""
    found = timings.read(stage_of(params, name))
    same = found is not None and (found.task, found.model) == (params.task.name, params.model.name)
    return found if same else None


def _as_last_time(cost: Cost, last: Timing) -> Cost:
    pace = last.seconds / last.steps if last.steps else None
    seconds = last.seconds if pace is None or cost.steps is None else pace * cost.steps
    return replace(cost, seconds_per_step=pace, seconds=seconds, peak_memory_mib=last.peak_memory_mib)


def _timed(
    params: Params, shape: Shape, selection: int, costs: Mapping[str, Cost], notes: list[str]
) -> dict[str, Cost]:
    """The same costs with time and memory, from steps taken now; why there is none goes to `notes`."""
    started = time.process_time()  # as long as on the clock, where nothing else runs
    try:
        from flows import step_seconds

        start_seconds, start_mib = time.process_time() - started, processes.resident_mib()
        batch_sizes = {name: _batch_size(params, name) for name in costs}
        found = step_seconds.seconds_per_step(params, shape, batch_sizes, notes)
    except Exception as error:
        notes.append(f"No time: {type(error).__name__}: {error}")
        return {}
    timed = {}
    for name, pace in found.items():
        scored = (params.budget.evaluations + 1) * selection * (name != PRETRAINED)
        scoring = scored / batch_sizes[name] * pace * FORWARD_SHARE
        steps = costs[name].steps
        timed[name] = replace(
            costs[name],
            seconds_per_step=pace,
            seconds=None if steps is None else start_seconds + steps * pace + scoring,
            peak_memory_mib=start_mib + _training_mib(params, name, shape, batch_sizes[name]),
        )
    return timed


def _training_mib(params: Params, name: str, shape: Shape, batch_size: int) -> float:
    """Weights and what they need, and activations (Korthikanti et al., arXiv:2205.05198, equation 1).

    A quantized layer keeps its inputs before and after they are rounded.
    """
    rung, length = params.rungs.get(name), params.task.max_length
    weights = WEIGHTS_IN_MEMORY * sizes.full_bytes(shape, rung, num_labels=params.task.num_labels)
    per_token = 17 * shape.hidden_size + 2.5 * shape.num_attention_heads * length
    kept = (2 if rung else 1) * shape.num_hidden_layers * batch_size * length * per_token
    return (weights + FLOAT_BYTES * kept) / MIB


def _with_disk(params: Params, name: str, shape: Shape, cost: Cost) -> Cost:
    rung, labels, copies = params.rungs.get(name), params.task.num_labels, copies_of_outputs()
    beside = sizes.tokenizer_bytes(params) + SMALL_FILES_BYTES
    weights = sizes.full_bytes(shape, rung, num_labels=labels)
    trained, packed = weights + beside, 0
    if rung and name in params.deliver:
        packed = sizes.packed_bytes(shape, rung, num_labels=labels) + beside
    return replace(
        cost,
        disk_mib=(trained * copies + packed * (copies + 1)) / MIB,  # MLflow has the packed folder too
        one_copy_mib=(trained + packed) / MIB,
        state_mib=WEIGHTS_IN_STATES * weights * (cost.steps != 0) / MIB,
    )


def _stages(params: Params, costs: Mapping[str, Cost]) -> dict[str, float]:
    """Seconds of each stage: of those that train a model as that costs, of others as the last time."""
    expected = {stage_of(params, name): cost.seconds for name, cost in costs.items()}
    packs = [f"pack@{name}" for name in params.deliver]
    for stage in ("prepare", "augment", *packs, "evaluate", "report", "register"):
        last = timings.read(stage)
        if last is not None and last.task in (None, params.task.name):
            expected[stage] = last.seconds
    return {stage: seconds for stage, seconds in expected.items() if seconds is not None}
