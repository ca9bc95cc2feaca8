"""What a ladder will take: minutes, memory and disk, from a few real training steps (`flows.step_seconds`).

A model that was trained here before (`Timing`) is expected to take as long again, step for step. All
else is arithmetic. Nothing here raises: what cannot be told is None, and a note says why.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from bitladder import files
from bitladder.packed.size import MIB
from pipeline import paths
from pipeline.ladder import sizes
from pipeline.ladder.sizes import Shape
from pipeline.params import Params
from pipeline.rungs import PRETRAINED, TEACHER

FLOAT_BYTES = 4
# Of a model in training: itself, gradients, two moments, the best and the first weights.
WEIGHTS_IN_MEMORY = 6
BESIDE_BYTES = 2**20  # beside each model's weights: its tokenizer, a record, a curve, a config
SECONDS_FOR_ALL = 20.0  # models that come later are taken to be as slow as the slowest


class Timing(BaseModel):
    """One stage's last run here: `.bitladder/timings/<stage>.json`, for plan and results.

    Attributes:
        seconds: on the clock.
        processor_seconds: of the stage's processes.
        peak_memory_mib: the most that one of them had.
        finished: date and time, UTC.
        task, model: of params.yaml at that time.
        steps: of training; None for a stage that trains nothing.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float
    processor_seconds: float | None = None
    peak_memory_mib: float | None = None
    finished: str | None = None
    task: str | None = None
    model: str | None = None
    steps: int | None = None

    @staticmethod
    def path(stage: str) -> Path:
        return paths.WORK / "timings" / f"{stage}.json"

    @classmethod
    def read(cls, stage: str) -> "Timing | None":
        """None where the stage never ran here, or the file is not what `write` writes."""
        try:
            return cls.model_validate_json(cls.path(stage).read_bytes())
        except (OSError, ValueError):
            return None

    def write(self, stage: str) -> None:
        files.write_json(self.path(stage), self.model_dump())


@dataclass(frozen=True)
class Cost:
    """Of one model; None where it is not known.

    Attributes:
        steps: of training, 0 for a model that comes trained.
        seconds: of the stage that trains it, its start included.
        peak_memory_mib: where it trains: on the GPU if there is one.
        disk_mib: trained and packed, each here and in DVC's cache, packed in MLflow too.
    """

    steps: int | None = None
    seconds_per_step: float | None = None
    seconds: float | None = None
    peak_memory_mib: float | None = None
    disk_mib: float | None = None

    @property
    def minutes(self) -> float | None:
        return None if self.seconds is None else self.seconds / 60


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


def estimate(params: Params, *, measure: bool) -> Estimate:
    """What each model and each stage takes. `measure`: time steps of the models that never trained here."""
    shape, names = sizes.shape_of(params), (PRETRAINED, TEACHER, *params.rungs)
    costs = {name: Cost(num_steps(params, name)) for name in names}
    last = {name: found for name in names if (found := _last(params, stage_of(params, name))) is not None}
    for name, found in last.items():
        pace = found.seconds / found.steps if found.steps else None
        steps = costs[name].steps
        seconds = found.seconds if pace is None or steps is None else pace * steps
        costs[name] = Cost(steps, pace, seconds, found.peak_memory_mib)
    notes = []
    if any(cost.steps is None for cost in costs.values()):
        notes.append("Epochs become steps once the rows are counted: after `dvc repro prepare augment`.")
    missing = {name: cost for name, cost in costs.items() if name not in last and cost.steps != 0}
    if measure and missing and shape is None:
        notes.append("No time: the pre-trained model's sizes are not known here yet. Its stage fetches it.")
    elif measure and missing and shape is not None:
        costs |= _timed(params, shape, missing, notes)
    if shape is not None:
        costs = {name: _with_disk(params, name, shape, cost) for name, cost in costs.items()}
    return Estimate(costs, _seconds_of_stages(params, costs), notes)


def stage_of(params: Params, name: str) -> str:
    """The DVC stage that trains a model: `teacher`, `weights@w1`."""
    return f"{params.rungs[name].stage}@{name}" if name in params.rungs else name


def num_steps(params: Params, name: str) -> int | None:
    """Steps of a training, 0 where a model comes trained; None in epochs of rows that nobody has counted."""
    if name == PRETRAINED:
        if params.model.source != "demo":
            return 0
        generator = params.task.generator
        duration, num_rows = params.budget.pretraining, generator.corpus_rows if generator else None
    elif name == TEACHER and params.teacher.is_given:
        return 0
    elif name == TEACHER:
        duration, num_rows = params.budget.teacher, _count_rows(params, "plain")
    elif name in params.general:
        duration, num_rows = params.general[name].duration, None
    else:
        rung = params.rungs[name]
        duration, num_rows = params.duration_of(rung), _count_rows(params, rung.data)
    if duration.steps is None and num_rows is None:
        return None
    return duration.count_steps(num_rows=num_rows or 0, batch_size=_batch_size(params, name))


def _count_rows(params: Params, kind: str) -> int | None:
    """Rows to learn from, plain or augmented, as the stage that made them has counted them."""
    try:
        found = files.read_json(paths.data_dir(params.task.name, kind) / "summary.json")
        return int(found["splits"]["train"]["rows"] if kind == "plain" else sum(found["rows"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _batch_size(params: Params, name: str) -> int:
    training = params.training
    if name in params.rungs:
        return params.optimization_of(params.rungs[name]).batch_size
    return (training.teacher if name == TEACHER else training.pretraining).batch_size


def _last(params: Params, stage: str) -> Timing | None:
    """The stage's last run here, unless that was on another task or from another pre-trained model."""
    found = Timing.read(stage)
    same = found and found.task in (None, params.task.name) and found.model in (None, params.model.name)
    return found if same else None


def _timed(params: Params, shape: Shape, costs: Mapping[str, Cost], notes: list[str]) -> dict[str, Cost]:
    """The same costs with time and memory, from steps taken now; `notes` get how, and why one has none."""
    started = time.process_time()  # as long as on the clock, where nothing else runs
    from flows import step_seconds

    start_seconds, start_mib = time.process_time() - started, psutil.Process().memory_info().rss / MIB
    timed, per_row = dict[str, Cost](), [0.0]
    deadline = time.monotonic() + SECONDS_FOR_ALL
    for name, cost in reversed(list(costs.items())):  # the slowest come last in most ladders
        size = _batch_size(params, name)
        if timed and time.monotonic() > deadline:
            notes.append(f"{name}: not timed, and taken to be as slow as the slowest.")
            pace = size * max(per_row)
        else:
            try:
                pace = step_seconds.of_model(params, shape, params.rungs.get(name), size)
            except Exception as error:
                notes.append(f"{name}: not timed: {type(error).__name__}: {error}")
                continue
        per_row.append(pace / size)
        seconds = None if cost.steps is None else start_seconds + cost.steps * pace
        peak_mib = start_mib + _training_mib(params, name, shape, size)
        timed[name] = Cost(cost.steps, pace, seconds, peak_mib)
    notes.append(
        f"Time: from a few real steps of one process on rows of {params.task.max_length} tokens (shorter "
        "ones take less), for a machine that does nothing else. Scoring is not counted."
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
    rung, labels = params.rungs.get(name), params.task.num_labels
    weights, packed = sizes.full_bytes(shape, rung, num_labels=labels), 0
    if rung and name in params.deliver:
        packed = sizes.packed_bytes(shape, rung, num_labels=labels) + BESIDE_BYTES
    return replace(cost, disk_mib=(2 * (weights + BESIDE_BYTES) + 3 * packed) / MIB)


def _seconds_of_stages(params: Params, costs: Mapping[str, Cost]) -> dict[str, float]:
    """Of those that train a model as that costs, of others as the last time."""
    packs = [f"pack@{name}" for name in params.deliver]
    others = ("prepare", "augment", *packs, "evaluate", "report", "register")
    last = {stage: found.seconds for stage in others if (found := _last(params, stage)) is not None}
    trained = {stage_of(params, name): cost.seconds for name, cost in costs.items()}
    known = {stage: seconds for stage, seconds in (trained | last).items() if seconds is not None}
    return {f"repeat@{params.seed}": 0.0, **known}  # that stage has nothing to do
