"""Minutes of one processor core, turned into steps of each model by timing a few real ones here.

The teacher gets a fifth of the time, at most ten epochs; the rungs share the rest by weight, and none gets
more than MOST_STEPS. What is left over is not spent. Numbers are ours.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.ladder.sizes import Shape
from pipeline.params import Params
from pipeline.rungs import TEACHER

TEACHERS_SHARE, MOST_EPOCHS = 0.2, 10
MOST_STEPS, FEWEST_STEPS = 3000, 20
FORWARD = 0.3  # of a training step's time, for a row that is only answered
STAGES = 14  # that are started beside, or for, the trainings
_LIGHT = 4  # bits of weights from which a rung is close to its parent at once,
_LIGHTER = 0.25  # and needs this share of another one's steps


class TooShortError(ValueError):
    """No ladder can be trained in that time."""

    exit_code = 2


@dataclass(frozen=True)
class Pace:
    """Seconds of one core: of a step of each model, and of a stage before its work begins."""

    seconds: dict[str, float]
    start: float


def measure(params: Params, shape: Shape, names: Sequence[str]) -> Pace:
    """Time these models here. Imports torch; takes some seconds."""
    begun = time.process_time()
    import torch

    from flows import step_seconds

    start = time.process_time() - begun
    seconds = {}
    for name in names:
        size = _batch_size(params, name)
        seconds[name] = step_seconds.of_model(params, shape, params.rungs.get(name), size)
        seconds[name] *= torch.get_num_threads()
    return Pace(seconds, start)


def weight(params: Params, name: str) -> float:
    """A rung's share of the steps against another's."""
    return _LIGHTER if params.rungs[name].bits >= _LIGHT else 1.0


def steps(
    params: Params, pace: Pace, minutes: float, rows: dict[str, int], given_teacher: bool
) -> dict[str, int]:
    """Steps of each model that fit in the minutes.

    Args:
        rows: of train, selection and validation.
        given_teacher: it is not trained here, nor timed.

    Raises:
        TooShortError: with the minutes that would do.
    """
    left = 60 * minutes - beside(params, pace, rows)
    teacher = 0
    if not given_teacher:
        epochs = MOST_EPOCHS * -(-rows["train"] // _batch_size(params, TEACHER))
        teacher = min(int(TEACHERS_SHARE * left / pace.seconds[TEACHER]), max(epochs, FEWEST_STEPS))
        left -= teacher * pace.seconds[TEACHER]
    a_step = sum(weight(params, name) * pace.seconds[name] for name in params.rungs)
    most = min(int(left / a_step), MOST_STEPS)
    found = {name: max(FEWEST_STEPS, int(most * weight(params, name))) for name in params.rungs}
    if most < FEWEST_STEPS or (not given_teacher and teacher < FEWEST_STEPS):
        raise TooShortError(
            f"--minutes: {minutes:g} are too few here; at least "
            f"{_fewest(params, pace, rows, given_teacher)} are needed"
        )
    return {**({} if given_teacher else {TEACHER: teacher}), **found}


def beside(params: Params, pace: Pace, rows: dict[str, int]) -> float:
    """Seconds of what is no training step: starts of stages, scoring on selection, packing, evaluating."""
    a_row = FORWARD * max(pace.seconds.values()) / _batch_size(params, TEACHER)
    models = len(params.rungs) + 1
    scored = models * (params.budget.evaluations * rows["selection"] + 4 * rows["validation"])
    return STAGES * pace.start + a_row * scored


def _fewest(params: Params, pace: Pace, rows: dict[str, int], given_teacher: bool) -> int:
    training = FEWEST_STEPS * sum(weight(params, name) * pace.seconds[name] for name in params.rungs)
    if not given_teacher:
        teacher = FEWEST_STEPS * pace.seconds[TEACHER] / TEACHERS_SHARE
        training = max(teacher, training / (1 - TEACHERS_SHARE))
    return int((beside(params, pace, rows) + training) / 60) + 1


def _batch_size(params: Params, name: str) -> int:
    training = params.training
    return (
        training.teacher.batch_size
        if name == TEACHER
        else params.optimization_of(params.rungs[name]).batch_size
    )
