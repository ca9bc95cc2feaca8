"""AdamW and a linear schedule.

Biases, LayerNorms, steps and shifts are not decayed: pulling a step or a norm to zero regularizes nothing.
"""

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR


def adamw(model: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Two groups: matrices and tables decay, everything else does not."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    decayed = [parameter for name, parameter in trained if _is_matrix(name)]
    others = [parameter for name, parameter in trained if not _is_matrix(name)]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def linear_schedule(optimizer: torch.optim.Optimizer, *, num_steps: int, warmup_fraction: float) -> LambdaLR:
    """Up from zero over the first `warmup_fraction` of the steps, then down to zero at the last."""
    num_warmup = int(num_steps * warmup_fraction)

    def factor(step: int) -> float:
        if step < num_warmup:
            return (step + 1) / num_warmup
        return max(0.0, (num_steps - step) / max(1, num_steps - num_warmup))

    return LambdaLR(optimizer, factor)


def _is_matrix(name: str) -> bool:
    return name.endswith(".weight") and "LayerNorm" not in name
