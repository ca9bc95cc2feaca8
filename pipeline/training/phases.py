"""The parts of a training, one after the other, each with its own loss, learning rate and optimizer.

BinaryBERT (Bai et al., ACL 2021, arXiv:2012.15701) trains in two: on hidden states and attention scores at
2.5 times the learning rate, then on logits. Most trainings have one phase. Steps are counted over all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from torch import Tensor, nn

from pipeline.distillation.objective import Portion
from pipeline.tasks.batches import Batch

LossTerms = Callable[[nn.Module, Batch, Portion], dict[str, Tensor]]


@dataclass(frozen=True)
class Phase:
    """Attributes:
    learning_rate: its highest, after its own warm-up.
    """

    loss_terms: LossTerms
    num_steps: int
    learning_rate: float


def ends(phases: Sequence[Phase]) -> list[int]:
    """The last step of each phase; the last one is the training's."""
    return list(accumulate(phase.num_steps for phase in phases))


def number_at(step: int, last_steps: Sequence[int]) -> int:
    """The phase that has taken this step, or is to take the first; one that is through is still its own.

    So the state written at a phase's last step has that phase's optimizer, and whoever goes on from it begins
    the next phase as one that was never stopped does.
    """
    return next(number for number, last in enumerate(last_steps) if step <= last)


def share_out(num_steps: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers of steps in these shares, at least one each, that add up to `num_steps`.

    Raises:
        ValueError: there are fewer steps than phases.
    """
    if num_steps < len(shares):
        raise ValueError(
            f"{num_steps} steps cannot be shared by {len(shares)} phases; each takes one at least"
        )
    last_steps = [0]
    for number, share in enumerate(accumulate(shares), 1):
        latest = num_steps - (len(shares) - number)  # what leaves a step to each that follows
        last_steps.append(min(max(round(num_steps * share), last_steps[-1] + 1), latest))
    last_steps[-1] = num_steps
    return [last - before for before, last in pairwise(last_steps)]
