"""AdamW, a schedule, who looks at the moments, and steps that are not taken.

Biases, LayerNorms, steps and shifts are not decayed: pulling a step or a norm to zero regularizes nothing.

Whether the loss and its gradient are still finite numbers is found out before the weights take a step. On a
GPU asking would make the CPU wait for it, so the answer stays there: AdamW is told to skip the first
bad step (`found_inf`, as GradScaler tells it) and every step after it, and the answer is read where the loop
reads the loss anyway. On the CPU it is read at every step.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from bitladder.modeling.layers import QuantizedEmbedding, weight_quantizers
from pipeline.rungs import Decay
from pipeline.training.tables import Table, tiny_is_zero

SECOND_BETA: Final = 0.999  # torch's own


class AdamW(torch.optim.AdamW):
    """torch's, fused; some tables' entries take their steps when they are looked up (tables.py)."""

    def __init__(self, groups: list[dict[str, Any]], *, learning_rate: float, first_beta: float) -> None:
        super().__init__(groups, lr=learning_rate, betas=(first_beta, SECOND_BETA), fused=True)
        self._tables: list[Table] = []

    def put_off(self, layers: Sequence[QuantizedEmbedding]) -> None:
        """From here on, until `release`, the steps of these tables' entries that no batch looks up.

        Moments that are to be restored are there already.
        """
        group_of = {id(each): group for group in self.param_groups for each in group["params"]}
        self._tables = [
            Table(layer, group_of[id(layer.weight)], self.state[layer.weight]) for layer in layers
        ]

    def with_gradients(self, model: nn.Module) -> list[Tensor]:
        """What has a gradient after a backward pass, in the model's order; of tables, the entries read."""
        entries = {id(table.layer.weight): table.entries() for table in self._tables}
        return [entries.get(id(parameter), parameter) for parameter in model.parameters()]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        with tiny_is_zero():
            super().step(closure)
            for table in self._tables:
                table.step()

    def catch_up(self) -> None:
        """Take every step that was put off: before anybody reads a whole table or its moments."""
        for table in self._tables:
            table.catch_up()

    def release(self) -> None:
        """Catch up, and put nothing off any more."""
        self.catch_up()
        for table in self._tables:
            table.layer.reader = None
        self._tables = []


def adamw(model: nn.Module, *, learning_rate: float, weight_decay: float, first_beta: float = 0.9) -> AdamW:
    """Two groups: matrices and tables decay, everything else does not."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    matrices = {name for name, _ in trained if name.endswith(".weight") and "LayerNorm" not in name}
    decayed = [parameter for name, parameter in trained if name in matrices]
    others = [parameter for name, parameter in trained if name not in matrices]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return AdamW(groups, learning_rate=learning_rate, first_beta=first_beta)


def schedule(*, num_steps: int, warmup_fraction: float, decay: Decay = "linear") -> Callable[[int], float]:
    """The share of the learning rate at each step from 1: up over the warm-up, down to zero after the last.

    Down in a line, or along half a cosine (Loshchilov and Hutter, arXiv:1608.03983, without restarts).

    A function of the step alone, so that a resumed training needs no more than the step.
    """
    num_warmup = int(num_steps * warmup_fraction)

    def share(step: int) -> float:
        if step <= num_warmup:
            return step / num_warmup
        left = (num_steps - step + 1) / max(1, num_steps - num_warmup)
        return left if decay == "linear" else (1 - math.cos(math.pi * left)) / 2

    return share


@torch.no_grad()
def show_second_moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Let weight quantizers that observe it see Adam's mean of squared gradients of their weights."""
    for quantizer, weight in weight_quantizers(model):
        if quantizer.observes and weight in optimizer.state:
            quantizer.observe(optimizer.state[weight]["exp_avg_sq"])


class DivergedError(RuntimeError):
    """The loss or its gradient is no longer a finite number."""

    exit_code = 5


class Divergence:
    """Watches one training."""

    def __init__(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        self.name, self.optimizer = name, optimizer
        self._terms: list[str] = []
        self._first_bad: Tensor | None = None  # its number, terms and gradient's norm; 0 if there is none

    @torch.no_grad()
    def see(self, step: int, terms: dict[str, Tensor], norm: Tensor) -> None:
        """Look at a step's terms and at the norm of its gradient, before the optimizer takes the step."""
        self._terms = list(terms)
        seen = torch.stack([torch.full_like(norm, step), *terms.values(), norm])
        known = torch.zeros_like(seen) if self._first_bad is None else self._first_bad
        is_first = ~torch.isfinite(seen.sum()) & (known[0] == 0)
        self._first_bad = torch.where(is_first, seen, known)
        self.optimizer.found_inf = (self._first_bad[0] > 0).float()  # type: ignore[attr-defined]

    def check(self) -> None:
        """Raise DivergedError if a step so far was bad. Waits for the device."""
        step, *values, norm = (0.0, 0.0) if self._first_bad is None else self._first_bad.tolist()
        if step:
            terms = dict(zip(self._terms, values, strict=True))
            raise DivergedError(
                f"{self.name}: diverged at step {step:.0f}: loss {sum(values)}, norm of its gradient {norm}, "
                f"terms {terms}"
            )
