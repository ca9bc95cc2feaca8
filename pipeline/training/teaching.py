"""Who teaches a rung, and what: a frozen model, and the loss of each phase against it.

The teacher is the full-precision model or a rung of the ladder, as in BiT's multi-distillation (Liu et al.,
NeurIPS 2022, arXiv:2205.13016). A quantized one answers as it would be scored: its own quantizers and steps,
in eval mode, without gradients. One peer leaves its teacher's dropout on.

A rung may be trained in phases: BinaryBERT (Bai et al., ACL 2021, arXiv:2012.15701) learns hidden states and
attention scores first, at 2.5 times the learning rate, then logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bitladder.modeling import checkpoint, routines
from bitladder.modeling.bert import Bert, freeze, heads_of
from bitladder.modeling.routines import Routines
from bitladder.modeling.traces import of_heads, trace
from pipeline import paths
from pipeline.distillation.objective import Objective, Portion
from pipeline.kinds.kind import Loss
from pipeline.params import Params
from pipeline.rungs import Distillation, Rung
from pipeline.tasks.batches import Batch, Shuffled
from pipeline.training import parallel
from pipeline.training.device import device, move
from pipeline.training.kept_answers import KeptAnswers
from pipeline.training.loop import LossTerms, Phase


@dataclass(frozen=True)
class Lesson:
    """One phase of a rung as it is taken; the record has it under `settings.phases`."""

    distillation: Distillation
    num_steps: int
    learning_rate: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "steps": self.num_steps,
            "learning_rate": self.learning_rate,
            "distillation": self.distillation.model_dump(),
        }


def as_settings(taken: list[Lesson]) -> dict[str, Any]:
    """What a record's settings say of the loss: the one of the whole training, or each phase's."""
    if len(taken) == 1:
        return {"distillation": taken[0].distillation.model_dump()}
    return {"phases": [lesson.as_dict() for lesson in taken]}


def load_teacher(name: str, chosen: Routines) -> Bert:
    """`models/<name>`, frozen, on the device, computing with these routines."""
    teacher = checkpoint.load_bert(paths.model_dir(name)).requires_grad_(False)
    move(teacher)
    routines.use(teacher, chosen)
    freeze(teacher, chosen)
    return teacher


def lessons(params: Params, rung: Rung, num_steps: int) -> list[Lesson]:
    """The rung's phases, or the one loss of the whole of it: its own, else the ladder's.

    Raises:
        ValueError: there are fewer steps than phases.
    """
    learning_rate = params.optimization_of(rung).learning_rate
    if not rung.phases:
        return [Lesson(rung.distillation or params.distillation, num_steps, learning_rate)]
    steps = share_out(num_steps, [phase.share for phase in rung.phases])
    return [
        Lesson(phase.distillation, own_steps, phase.learning_rate_factor * learning_rate)
        for phase, own_steps in zip(rung.phases, steps, strict=True)
    ]


def share_out(num_steps: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers of steps in these shares, at least one each, that add up to `num_steps`.

    Raises:
        ValueError: there are fewer steps than phases.
    """
    if num_steps < len(shares):
        raise ValueError(
            f"{num_steps} steps cannot be shared by {len(shares)} phases: each takes at least one"
        )
    last_steps = [0]
    for number, share in enumerate(accumulate(shares), 1):
        latest = num_steps - (len(shares) - number)  # what leaves a step to each that follows
        last_steps.append(min(max(round(num_steps * share), last_steps[-1] + 1), latest))
    last_steps[-1] = num_steps
    return [last - before for before, last in pairwise(last_steps)]


def course(
    taken: list[Lesson], teacher: nn.Module, *, loss: Loss, batches: Shuffled | None = None
) -> list[Phase]:
    """What the loop goes through.

    Args:
        loss: what the task's kind learns by.
        batches: its batches; what the teacher says of their rows is kept where they come again.
    """
    goals = [objective(lesson.distillation, loss=loss) for lesson in taken]
    kept = None
    if batches is not None and comes_again(batches, sum(lesson.num_steps for lesson in taken)):
        kept = KeptAnswers(
            teacher,
            batches,
            states=any(
                goal.compares_vectors or goal.hidden_states or goal.compares_attention for goal in goals
            ),
            heads=any(goal.compares_heads for goal in goals),
        )
    return [
        Phase(against_teacher(teacher, goal, kept), lesson.num_steps, lesson.learning_rate)
        for goal, lesson in zip(goals, taken, strict=True)
    ]


def comes_again(batches: Shuffled, num_steps: int) -> bool:
    """Whether a training has rows twice, and has them to itself, where the teacher's answers are computed."""
    return num_steps > batches.per_epoch and device().type == "cpu" and parallel.world().size == 1


def objective(distillation: Distillation, *, loss: Loss) -> Objective:
    """The loss that params.yaml describes, for a task of a kind that learns by `loss`."""
    return Objective(**distillation.model_dump(), loss=loss)


def against_teacher(teacher: nn.Module, goal: Objective, kept: KeptAnswers | None = None) -> LossTerms:
    """The terms of a student's loss; the teacher's forward pass included, unless its answers are `kept`.

    A narrow student is compared with the teacher's heads that it has. They raise ValueError where the teacher
    lacks one and a term asks for it.
    """
    heads = goal.compares_heads

    def terms(model: nn.Module, batch: Batch, portion: Portion) -> dict[str, Tensor]:
        with torch.no_grad():
            taught = trace(teacher, batch, heads=heads) if kept is None else kept(batch)
        if goal.compares_attention:
            taught = of_heads(taught, heads_of(model), heads_of(teacher))
        own = trace(model, batch, heads=heads)
        return goal.terms(own, taught, batch, portion)

    return terms
