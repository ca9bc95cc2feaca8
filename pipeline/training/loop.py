"""The training loop, flat on purpose: read it from top to bottom, nothing is hidden in hooks.

The same loop serves masked-language modelling, the teacher and every rung: they differ in the batches and in
the loss. The checkpoint that is kept is the best on the selection split, which is held out of train; the
validation splits are not looked at here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pipeline.data.encode import Batch
from pipeline.distillation.objective import Portion, total
from pipeline.params import Duration, Optimization
from pipeline.training import parallel
from pipeline.training.device import copied
from pipeline.training.optimizer import adamw, linear_schedule
from pipeline.training.progress import Progress

LossTerms = Callable[[nn.Module, Batch, Portion], dict[str, Tensor]]
POINTS_PER_CURVE = 10


class DivergedError(RuntimeError):
    """The loss or its gradient is no longer a finite number."""

    exit_code = 5


@dataclass(frozen=True)
class Point:
    """One row of a training curve: the mean loss since the last point, the score where measured."""

    step: int
    loss: float
    score: float | None


@dataclass(frozen=True)
class Fitted:
    """Attributes:
    curve: the points, in order.
    num_steps: steps taken.
    best_step: the step whose weights the model now has.
    """

    curve: list[Point]
    num_steps: int
    best_step: int


@dataclass
class Reached:
    """How far a run has come, beside what model, optimizer and generators hold.

    Attributes:
        step: the last step taken; 0 before the first.
        losses: of each step since the curve's last point, on the device.
        best_state: the weights of the best evaluation so far; None while there is none.
    """

    step: int = 0
    curve: list[Point] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    best_score: float = -math.inf
    best_step: int = 0
    best_state: dict[str, Tensor] | None = None

    def keep_if_best(self, model: nn.Module, score: float | None) -> None:
        """Later wins a tie: it has been trained for longer."""
        if score is not None and score >= self.best_score:
            self.best_score, self.best_step = score, self.step
            self.best_state = {key: tensor.detach().clone() for key, tensor in model.state_dict().items()}

    def add_point(self, mean_loss: float, score: float | None) -> Point:
        self.curve.append(Point(self.step, mean_loss, score))
        self.losses = []
        return self.curve[-1]


def fit(
    model: nn.Module,
    *,
    name: str,
    batches: Callable[[int], Batch],
    loss_terms: LossTerms,
    score: Callable[[nn.Module], float | None] | None,
    num_steps: int,
    num_evaluations: int,
    optimization: Optimization,
    learning_rate: float,
) -> Fitted:
    """Train `model` in place and leave it with the weights of its best evaluation (the last if no `score`).

    Raises:
        DivergedError: the loss or its gradient became NaN or infinite; the message names step and terms.
    """
    device = next(model.parameters()).device
    world = parallel.world()
    optimizer = adamw(model, learning_rate=learning_rate, weight_decay=optimization.weight_decay)
    schedule = linear_schedule(optimizer, num_steps=num_steps, warmup_fraction=optimization.warmup_fraction)
    evaluate_at = {round(num_steps * (i + 1) / num_evaluations) for i in range(num_evaluations)}
    reached = Reached()
    progress = Progress(name, num_steps, rows_per_step=optimization.batch_size)

    world.draw_apart()
    model.train()
    for step in range(reached.step + 1, num_steps + 1):
        rows, portion = world.share(batches(step))
        batch = copied(rows, device)
        terms = loss_terms(model, batch, portion)
        optimizer.zero_grad(set_to_none=True)
        total(terms).backward()  # type: ignore[no-untyped-call]
        terms = world.average(model, terms)
        norm = nn.utils.clip_grad_norm_(model.parameters(), optimization.max_grad_norm)
        loss = total(terms)
        # Before the optimizer's step: no weights that are not numbers are ever scored or kept.
        if not torch.isfinite(loss + norm):
            raise DivergedError(_diverged(name, step, terms, norm))
        optimizer.step()
        schedule.step()
        reached.step = step
        reached.losses.append(loss)

        measured = score(model) if score is not None and step in evaluate_at else None
        reached.keep_if_best(model, measured)
        if step in evaluate_at or _is_point(step, num_steps):
            point = reached.add_point(float(torch.stack(reached.losses).mean()), measured)
            progress.show(step, loss=point.loss, score=point.score)

    progress.close()
    if reached.best_state is not None:
        model.load_state_dict(reached.best_state)
    model.eval()
    return Fitted(reached.curve, num_steps, reached.best_step or num_steps)


def _is_point(step: int, num_steps: int) -> bool:
    """About ten points over a run, by steps alone: a curve does not depend on how fast the machine is."""
    return step % max(1, num_steps // POINTS_PER_CURVE) == 0 or step == num_steps


def _diverged(name: str, step: int, terms: dict[str, Tensor], norm: Tensor) -> str:
    values = {term: float(value.detach()) for term, value in terms.items()}
    loss = sum(values.values())
    return f"{name}: diverged at step {step}: loss {loss}, norm of its gradient {float(norm)}, terms {values}"


def count_steps(duration: Duration, *, num_rows: int, batch_size: int) -> int:
    """Steps of a duration that is given in steps or in epochs."""
    if duration.steps is not None:
        return duration.steps
    assert duration.epochs is not None
    return max(1, round(duration.epochs * math.ceil(num_rows / batch_size)))
