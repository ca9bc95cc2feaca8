"""Whether the loss and its gradient are still finite numbers, found out before the weights take the step.

On a GPU asking would make the CPU wait for it, so the answer stays there: AdamW is told to skip the first
bad step (`found_inf`, as GradScaler tells it) and every step after it, and the answer is read where the loop
reads the loss anyway. On the CPU it is read at every step.
"""

import torch
from torch import Tensor


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
