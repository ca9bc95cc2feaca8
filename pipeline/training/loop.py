"""The training loop, flat on purpose: read it from top to bottom, nothing is hidden in hooks.

The same loop serves masked-language modelling, the teacher and every rung: they differ in the batches and in
the loss. The checkpoint that is kept is the best on the selection split, which is held out of train; the
validation splits are not looked at here.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.data.encode import Batch
from pipeline.distillation.objective import total
from pipeline.params import Duration, Optimization
from pipeline.training.optimizer import adamw, linear_schedule
from pipeline.training.progress import Progress


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


def fit(
    model: nn.Module,
    *,
    name: str,
    batches: Iterator[Batch],
    loss_terms: Callable[[nn.Module, Batch], dict[str, Tensor]],
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
    optimizer = adamw(model, learning_rate=learning_rate, weight_decay=optimization.weight_decay)
    schedule = linear_schedule(optimizer, num_steps=num_steps, warmup_fraction=optimization.warmup_fraction)
    evaluate_at = {round(num_steps * (i + 1) / num_evaluations) for i in range(num_evaluations)}
    curve: list[Point] = []
    best_score, best_step, best_state = -math.inf, num_steps, None
    since_last: list[Tensor] = []
    progress = Progress(name, num_steps)

    model.train()
    for step in range(1, num_steps + 1):
        batch = {key: tensor.to(device) for key, tensor in next(batches).items()}
        terms = loss_terms(model, batch)
        loss = total(terms)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(model.parameters(), optimization.max_grad_norm)
        # Before the optimizer's step: no weights that are not numbers are ever scored or kept.
        if not torch.isfinite(loss.detach() + norm):
            raise DivergedError(_diverged(name, step, terms, norm))
        optimizer.step()
        schedule.step()
        since_last.append(loss.detach())

        measured: float | None = None
        if score is not None and step in evaluate_at:
            measured = score(model)
            # Later wins a tie: it has been trained for longer.
            if measured is not None and measured >= best_score:
                best_score, best_step = measured, step
                best_state = {key: tensor.detach().clone() for key, tensor in model.state_dict().items()}
        if step in evaluate_at or progress.is_due(step):
            mean_loss = float(torch.stack(since_last).mean())
            since_last = []
            curve.append(Point(step, mean_loss, measured))
            progress.show(step, loss=mean_loss, score=measured)

    progress.close()
    if best_state is not None:
        model.load_state_dict(best_state)
    model.eval()
    return Fitted(curve, num_steps, best_step)


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
