"""Whether the loss and its gradient are still finite numbers, found out before the weights take the step.

On the CPU that is asked at every step. On a GPU asking would make the CPU wait for it, so the answer stays
there: AdamW is told to skip the step (`found_inf`, as GradScaler tells it) and every step after it, and the
answer is read where the loop reads the loss anyway.
"""

import torch
from torch import Tensor


class DivergedError(RuntimeError):
    """The loss or its gradient is no longer a finite number."""

    exit_code = 5


class Divergence:
    """Watches one training. `at_every_step`: raise at once, which waits for the device."""

    def __init__(self, name: str, optimizer: torch.optim.Optimizer, *, at_every_step: bool) -> None:
        self.name, self.optimizer, self.at_every_step = name, optimizer, at_every_step
        self._terms: list[str] = []
        self._step: Tensor | None = None  # the first bad one, 0 while there is none
        self._seen: Tensor | None = None  # its terms, then its gradient's norm

    @torch.no_grad()
    def see(self, step: int, terms: dict[str, Tensor], norm: Tensor) -> None:
        """Look at a step's terms and at the norm of its gradient, before the optimizer takes the step.

        Raises:
            DivergedError: one is not finite, where that is known at once.
        """
        seen = torch.stack([*terms.values(), norm])
        is_bad = ~torch.isfinite(seen.sum())
        self._terms = list(terms)
        if self.at_every_step:
            if is_bad:
                raise DivergedError(self._message(step, seen))
            return
        if self._step is None or self._seen is None:
            self._step, self._seen = torch.zeros_like(is_bad, dtype=torch.int64), seen
        is_first = is_bad & (self._step == 0)
        self._seen = torch.where(is_first, seen, self._seen)
        self._step = self._step + is_first * step
        self.optimizer.found_inf = (self._step > 0).float()  # type: ignore[attr-defined]

    def check(self) -> None:
        """Raise DivergedError if a step so far was bad. Waits for the device."""
        if self._step is not None and self._seen is not None and self._step:
            raise DivergedError(self._message(int(self._step), self._seen))

    def _message(self, step: int, seen: Tensor) -> str:
        *values, norm = seen.tolist()
        terms = dict(zip(self._terms, values, strict=True))
        loss = sum(values)
        return (
            f"{self.name}: diverged at step {step}: loss {loss}, norm of its gradient {norm}, terms {terms}"
        )
