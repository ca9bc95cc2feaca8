"""AdamW, a linear schedule, and who looks at the moments.

Biases, LayerNorms, steps and shifts are not decayed: pulling a step or a norm to zero regularizes nothing.
"""

from collections.abc import Callable

import torch
from torch import nn

from bitladder.modeling.layers import weight_quantizers


def adamw(model: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Two groups: matrices and tables decay, everything else does not."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    matrices = {name for name, _ in trained if name.endswith(".weight") and "LayerNorm" not in name}
    decayed = [parameter for name, parameter in trained if name in matrices]
    others = [parameter for name, parameter in trained if name not in matrices]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def linear_schedule(*, num_steps: int, warmup_fraction: float) -> Callable[[int], float]:
    """The share of the learning rate at each step from 1: up over the warm-up, down to zero after the last.

    A function of the step alone, so that a resumed training needs no more than the step.
    """
    num_warmup = int(num_steps * warmup_fraction)

    def share(step: int) -> float:
        if step <= num_warmup:
            return step / num_warmup
        return (num_steps - step + 1) / max(1, num_steps - num_warmup)

    return share


@torch.no_grad()
def show_second_moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Let weight quantizers that observe it see Adam's mean of squared gradients of their weights."""
    for quantizer, weight in weight_quantizers(model):
        if quantizer.observes and weight in optimizer.state:
            quantizer.observe(optimizer.state[weight]["exp_avg_sq"])
