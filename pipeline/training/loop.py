"""The training loop, flat on purpose: read it from top to bottom, nothing is hidden in hooks.

The same loop serves masked-language modelling, the teacher and every rung: they differ in the batches and in
the loss. The checkpoint that is kept is the best on the selection split, which is held out of train; the
validation splits are not looked at here. Where a training has several phases, each begins with the best
weights so far and an optimizer that has seen nothing.

A training can be stopped and gone on with after every step. So a turn of the loop begins with what is due of
the step before, an evaluation and a point of the curve: what a stopped training left undone is done first.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from pipeline.distillation.objective import Portion, total
from pipeline.params import Optimization
from pipeline.progress import Progress
from pipeline.tasks.batches import Batch
from pipeline.training import live, parallel, stopping
from pipeline.training.device import copied, give_back
from pipeline.training.optimizer import AdamW, Divergence, adamw, schedule, show_second_moments
from pipeline.training.resume import States
from pipeline.training.state import Point, Reached, Shares, capture, put_weights, restore
from pipeline.training.tables import by_entry

POINTS_PER_CURVE = 10

LossTerms = Callable[[nn.Module, Batch, Portion], dict[str, Tensor]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Phase:
    """A part of a training with a loss, a learning rate and an optimizer of its own; most have one.

    Attributes:
        learning_rate: its highest, after its own warm-up.
    """

    loss_terms: LossTerms
    num_steps: int
    learning_rate: float


@dataclass(frozen=True)
class Fitted:
    """Attributes:
    curve: the points, in order.
    num_steps: steps taken, over all phases.
    best_step: the step, counted over all phases, whose weights the model now has.
    """

    curve: list[Point]
    num_steps: int
    best_step: int


def fit(
    model: nn.Module,
    *,
    name: str,
    batches: Callable[[int], Batch],
    course: Sequence[Phase],
    score: Callable[[nn.Module], float | None] | None,
    num_evaluations: int,
    optimization: Optimization,
    states: States | None = None,
    sign_flips: Callable[[nn.Module], Shares] | None = None,
    put_off: bool = True,
    before_step: Callable[[int], None] | None = None,
) -> Fitted:
    """Train `model` in place and leave it with the weights of its best evaluation (the last if no `score`).

    Evaluations are spread evenly over all phases of the `course`; there is one at the end of each phase too.
    With `states`, go on from the newest one, write one at intervals and when a signal asks to stop. With
    `sign_flips`, every point of the curve has what that tells of the model. Steps of a large table's entries
    are put off until a batch looks them up unless `put_off` says otherwise: the result is the same.
    `before_step` is told each step, counted over all phases; it keeps nothing from one step to the next.

    Raises:
        DivergedError: the loss or its gradient became NaN or infinite; the message names step and terms.
        UnwrittenError: a state could not be written.
        KeyboardInterrupt, SystemExit: a signal asked to stop; the state is written.
    """
    device = next(model.parameters()).device
    world = parallel.world()
    last_steps = list(accumulate(phase.num_steps for phase in course))
    num_steps = last_steps[-1]
    spread = {round(num_steps * (i + 1) / num_evaluations) for i in range(num_evaluations)}
    evaluate_at = set() if score is None else {*spread, *last_steps[:-1]}
    # Points of the curve by steps alone: a curve does not depend on how fast the machine is.
    point_at = {*range(0, num_steps, max(1, num_steps // POINTS_PER_CURVE)), *last_steps, *evaluate_at}
    world.draw_apart()
    newest = states.newest() if states else None
    number = phase_at(newest.values["step"] if newest else 0, last_steps)
    phase, optimizer, rate_share, divergence = _begin(name, course[number], model, optimization)
    reached = restore(model, optimizer, newest, world) if newest else Reached()
    del newest
    tables = by_entry(model) if put_off and world.size == 1 else []
    optimizer.put_off(tables)
    progress = Progress(name, num_steps, rows_per_step=optimization.batch_size, first_step=reached.step)

    def save() -> None:
        if states and reached.step != states.written:
            divergence.check()
            optimizer.catch_up()
            states.save(capture(model, optimizer, reached, world))
            give_back()

    def leave() -> None:
        save()
        how = "the same command goes on from there" if states else "nothing of it is kept"
        _log.warning("%s: stopped at step %d of %d; %s", name, reached.step, num_steps, how)

    model.train()
    spool = live.open(name, states.fingerprint if states and world.leads else None)  # one process shows it
    with spool as shown, stopping.between_steps(leave) as stop:
        while True:
            step = reached.step
            stop.leave_if(world.wants_to_stop(stop.asked is not None, step))
            if reached.last_point < step and step in point_at:
                divergence.check()
                optimizer.catch_up()
                measured = None
                if score is not None and step in evaluate_at:
                    with stop.at_once(world.size == 1):
                        measured = score(model)
                reached.keep_if_best(model, measured)
                mean_loss = float(torch.stack(reached.losses).mean())
                point = reached.add_point(mean_loss, measured, sign_flips(model) if sign_flips else {})
                progress.show(step, loss=point.loss, score=point.score)
                shown.point(step, loss=point.loss, score=point.score)
            if step == num_steps:
                break
            if step == last_steps[number]:
                number += 1
                optimizer.release()
                if reached.best_state is not None:
                    put_weights(model, reached.best_state)
                phase, optimizer, rate_share, divergence = _begin(name, course[number], model, optimization)
                optimizer.put_off(tables)
                _log.info("%s: phase %d of %d, from step %d", name, number + 1, len(course), step + 1)

            step += 1
            if before_step is not None:
                before_step(step)
            rows, portion = world.share(batches(step))
            batch = copied(rows, device)
            optimizer.zero_grad(set_to_none=True)  # first: the forward pass has their memory
            terms = phase.loss_terms(model, batch, portion)
            total(terms).backward()  # type: ignore[no-untyped-call]
            terms = world.average(model, terms)
            norm = nn.utils.clip_grad_norm_(optimizer.with_gradients(model), optimization.max_grad_norm)
            divergence.see(step, terms, norm)
            if device.type == "cpu":
                divergence.check()
            own_step = step - (last_steps[number] - phase.num_steps)
            for group in optimizer.param_groups:
                group["lr"] = phase.learning_rate * rate_share(own_step)
            optimizer.step()
            show_second_moments(model, optimizer)
            reached.step = step
            reached.losses.append(total(terms))
            progress.tick(step)
            if states and (step % states.every == 0 or step in last_steps):
                save()

    progress.close()
    optimizer.release()
    if reached.best_state is not None:
        put_weights(model, reached.best_state)
    world.require_same_weights(name, model)
    model.eval()
    return Fitted(reached.curve, num_steps, reached.best_step or num_steps)


def phase_at(step: int, last_steps: Sequence[int]) -> int:
    """The number of the phase that has taken this step, or is to take the first.

    One that is through is still its own: the state written at a phase's last step has that phase's optimizer,
    and whoever goes on from it begins the next phase as one that was never stopped does.
    """
    return next(number for number, last in enumerate(last_steps) if step <= last)


def _begin(
    name: str, phase: Phase, model: nn.Module, optimization: Optimization
) -> tuple[Phase, AdamW, Callable[[int], float], Divergence]:
    """A phase before its first step, with all that is its own."""
    optimizer = adamw(
        model,
        learning_rate=phase.learning_rate,
        weight_decay=optimization.weight_decay,
        first_beta=optimization.first_beta,
    )
    share = schedule(
        num_steps=phase.num_steps,
        warmup_fraction=optimization.warmup_fraction,
        decay=optimization.decay,
    )
    return phase, optimizer, share, Divergence(name, optimizer)
