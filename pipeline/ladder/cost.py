"""What a model will cost to train: minutes, memory and disk, from its shape and a few rehearsed steps.

Arithmetic only, without torch; `flows.rehearsal` measures. Disk is counted at its largest: every output is
written once, and DVC's cache keeps a copy unless it links; while a model trains, two states to continue from
lie beside it and a third is being written, each with the weights, both moments of AdamW and the best weights.

Other work on a machine makes everything take longer on the wall. What is measured is therefore read by the
time of the processors too (`undisturbed`), so that a plan made beside other work is not a plan for it.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bitladder.quantizers.names import WEIGHTS
from pipeline.ladder import sizes
from pipeline.ladder.sizes import MIB, Shape
from pipeline.params import Optimization, Params
from pipeline.rungs import PRETRAINED, TEACHER, Distillation, Duration, Rung, climb

STATES = 3
TENSORS_PER_STATE = 4
# Wall time over the time of the processors where nothing else runs: a step waits now and then, for a disk, or
# one thread for another.
IDLE = 1.1
# Beside each model's weights: a record, a curve, a config.
SMALL_FILES_BYTES = 16 * 2**10


@dataclass(frozen=True)
class Rehearsed:
    """One kind of training, measured.

    Attributes:
        seconds_per_step: with sequences of the expected length.
        seconds_per_state: of writing what a killed training continues from.
        seconds_per_row: of scoring one row as it is done between steps.
        other_seconds: start of the process, reading, calibration, publishing: all but steps and rows scored.
        peak_mib: most memory the process had, in main memory.
        gpu_mib: most memory it had on the GPU; None without one.
        threads: that the stage used.
        steps: how many were timed.
        share: of the processors that the threads had; about 1 where nothing else ran.
        pack_seconds: packing it, less the rows it is compared on; 0 for what is not packed.
        packed_seconds_per_row: of scoring one row by its packed file, as `evaluate` does.
        compared_seconds_per_row: of one row in `pack`: by the trained rung, by the packed one's torch layers
            and by its kernels, where there are some.
    """

    seconds_per_step: float
    seconds_per_row: float
    other_seconds: float
    peak_mib: float
    gpu_mib: float | None
    threads: int
    steps: int
    share: float = 1.0
    seconds_per_state: float = 0.0
    pack_seconds: float = 0.0
    packed_seconds_per_row: float = 0.0
    compared_seconds_per_row: float = 0.0


@dataclass(frozen=True)
class Rows:
    """How many rows there are of each kind; None where nobody knows yet.

    Attributes:
        validation: of the first validation split, which `pack` compares on.
        judged: of all validation splits, which `evaluate` scores.
        seconds_per_row: of reading and tokenizing one.
        rehearsed: rows of (train, selection) that rehearsals read, and whose cost they contain.
        origin: prepared (data/<task>/), made (as `prepare` does it) or assumed.
        tokens: mean length of a batch, by batch size.
    """

    train: int | None
    augmented: int | None
    selection: int | None
    validation: int | None
    judged: int | None
    seconds_per_row: float
    rehearsed: tuple[int, int]
    origin: str
    tokens: Mapping[str, float]


@dataclass(frozen=True)
class Cost:
    """Of one model. None where it is not known, or would have had to be measured.

    Attributes:
        steps: of training, 0 for a model that comes trained.
        disk_mib: trained and packed, with the copies of DVC and MLflow.
        state_mib: while it trains, on top of that.
        pack_seconds: of its stage `pack`.
    """

    steps: int | None
    seconds_per_step: float | None
    seconds: float | None
    peak_memory_mib: float | None
    gpu_memory_mib: float | None
    disk_mib: float | None
    state_mib: float | None
    pack_seconds: float | None


def optimization_of(params: Params, name: str) -> Optimization:
    """How a model of the plan is optimized."""
    if name in params.rungs:
        return params.optimization_of(params.rungs[name])
    return params.training.teacher if name == TEACHER else params.training.pretraining


def num_steps(params: Params, name: str, rows: Rows | None) -> int | None:
    """Steps of a model's training; None when it is given in epochs of rows nobody has counted yet."""
    if name == PRETRAINED and params.model.source != "demo":
        return 0
    num_rows = _rows_to_learn_from(params, name, rows)
    duration = _duration(params, name)
    if duration.steps is None and num_rows is None:
        return None
    return duration.count_steps(num_rows=num_rows or 0, batch_size=optimization_of(params, name).batch_size)


def num_phases(params: Params, name: str) -> int:
    """Each phase's end is scored and written down, which costs as much again where it was not due anyway."""
    return max(1, len(params.rungs[name].phases)) if name in params.rungs else 1


def terms_of(params: Params, rung: Rung) -> Distillation:
    """The greatest weight that each term has in any of a rung's phases: what a step costs at most."""
    losses = [phase.distillation for phase in rung.phases] or [rung.distillation or params.distillation]
    weights = [loss.model_dump() for loss in losses]
    return Distillation(**{term: max(weight[term] for weight in weights) for term in weights[0]})


def count_states(steps: int, *, every: int) -> int:
    """States that a training writes: at intervals, and at its last step (`pipeline.training.resume`)."""
    return math.ceil(steps / every)


def undisturbed(timed: Sequence[float], threads: int = 1) -> float:
    """Seconds that a piece of work takes on a machine that does nothing else.

    Args:
        timed: seconds on the wall, and of the processors.
        threads: that did the work; 0 when a GPU did, and the processors' time tells nothing.
    """
    wall, cpu = timed
    return wall if threads == 0 else min(wall, IDLE * cpu / threads)


def seconds_per_step(durations: Sequence[float], widths: Sequence[int], tokens: float) -> float:
    """Expected seconds of a step on a batch that is `tokens` long: its time goes with them, nearly.

    Args:
        durations: of each timed step; their median does without one that took long for another reason.
        widths: tokens of the longest sequence of each of those steps' batches.
    """
    rates = [seconds / width for seconds, width in zip(durations, widths, strict=True)]
    return statistics.median(rates) * tokens


def training_seconds(
    measured: Rehearsed, *, steps: int, states: int, evaluations: int, rows: Rows, num_train: int | None
) -> float:
    """Wall seconds of a model's stage: steps, states, evaluations, the one at the end, and the rest."""
    selection = rows.selection or 0
    unread = max(0, (num_train or 0) + selection - sum(rows.rehearsed))
    scored = (evaluations + 1) * selection
    return (
        measured.other_seconds
        + steps * measured.seconds_per_step
        + states * measured.seconds_per_state
        + scored * measured.seconds_per_row
        + unread * rows.seconds_per_row
    )


def pack_seconds(measured: Rehearsed, rows: Rows) -> float:
    """Wall seconds of `pack`: its passes over the first validation split, and the rest."""
    per_row = measured.compared_seconds_per_row + rows.seconds_per_row
    return measured.pack_seconds + (rows.validation or 0) * per_row


def costs(
    params: Params, measured: Mapping[str, Rehearsed], rows: Rows | None, *, copies: int
) -> dict[str, Cost]:
    """The cost of every model by name. `copies`: how often an output is on disk, DVC's cache included."""
    shape, found = sizes.shape_of(params), {}
    for name in (PRETRAINED, TEACHER, *climb(params.rungs)):
        kind, steps = measured.get(name), num_steps(params, name, rows)
        found[name] = Cost(
            steps=steps,
            seconds_per_step=kind.seconds_per_step if kind and steps else None,
            seconds=_seconds(params, name, kind, rows, steps),
            peak_memory_mib=kind.peak_mib if kind else None,
            gpu_memory_mib=kind.gpu_mib if kind else None,
            disk_mib=None if shape is None else _disk_mib(params, name, shape, copies),
            state_mib=None if shape is None else _state_mib(params, name, shape) * (steps != 0),
            pack_seconds=pack_seconds(kind, rows) if kind and rows and name in params.deliver else None,
        )
    return found


def _seconds(
    params: Params, name: str, kind: Rehearsed | None, rows: Rows | None, steps: int | None
) -> float | None:
    if kind is None or rows is None or steps is None:
        return None
    states = count_states(steps, every=params.training.checkpoint_every) + num_phases(params, name) - 1
    if name == PRETRAINED:  # nothing is scored, and its rehearsal read all there is to read
        return kind.other_seconds + steps * kind.seconds_per_step + states * kind.seconds_per_state
    return training_seconds(
        kind,
        steps=steps,
        states=states,
        evaluations=params.budget.evaluations + num_phases(params, name) - 1,
        rows=rows,
        num_train=_rows_to_learn_from(params, name, rows),
    )


def _disk_mib(params: Params, name: str, shape: Shape, copies: int) -> float:
    """Trained, and packed where it is delivered: that MLflow has too."""
    labels, extra = params.task.num_labels, sizes.tokenizer_bytes(params) + SMALL_FILES_BYTES
    size = (_full_bytes(params, name, shape) + extra) * copies
    if name in params.deliver:
        rung = params.rungs[name]
        size += (sizes.packed_bytes(shape, rung, num_labels=labels) + extra) * (copies + 1)
    return size / MIB


def _state_mib(params: Params, name: str, shape: Shape) -> float:
    return STATES * TENSORS_PER_STATE * _full_bytes(params, name, shape) / MIB


def _full_bytes(params: Params, name: str, shape: Shape) -> int:
    """Of one set of a model's weights, as they are trained."""
    labels, rung = params.task.num_labels, params.rungs.get(name)
    width, split = (rung.width, rung.split) if rung else (1.0, False)
    keeps = WEIGHTS[rung.weight_quantizer].keeps if rung and rung.weight_quantizer else 0
    return sizes.full_bytes(shape, num_labels=labels, width=width, split=split, keeps=keeps)


def _duration(params: Params, name: str) -> Duration:
    if name in params.rungs:
        return params.duration_of(params.rungs[name])
    return params.budget.teacher if name == TEACHER else params.budget.pretraining


def _rows_to_learn_from(params: Params, name: str, rows: Rows | None) -> int | None:
    if name == PRETRAINED:
        return params.task.generator.corpus_rows if params.task.generator else None
    if rows is None:
        return None
    augmented = name in params.rungs and params.rungs[name].data == "augmented"
    return rows.augmented if augmented else rows.train
