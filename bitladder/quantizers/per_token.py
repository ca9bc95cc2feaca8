"""8 bits, symmetric, one scale per token (the last dimension) from its largest magnitude; nothing learned."""

import torch
from torch import Tensor

from bitladder.quantizers import loops
from bitladder.quantizers.activation import ActivationQuantizer, Codes
from bitladder.quantizers.rounding import straight_through


def build(bits: int, *, signed: bool, shift_shape: tuple[int, ...] | None) -> "PerToken":
    """The same everywhere: values without a sign use half of the levels."""
    return PerToken(bits)


class PerToken(ActivationQuantizer):
    """Symmetric uniform levels, the scale of each token (the last dimension) from its largest magnitude."""

    always_alike = True
    gradient_needs_x = False

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.largest = 2 ** (bits - 1) - 1

    def forward(self, x: Tensor) -> Tensor:
        return straight_through(x, self.encode(x).values())

    @torch.no_grad()
    def encode(self, x: Tensor) -> Codes:
        if loops.serve(x):
            return Codes(*loops.nearest_per_row(x, self.largest))
        # No division by zero: a token of zeros stays zeros.
        smallest = torch.finfo(x.dtype).tiny * self.largest
        step = x.abs().amax(dim=-1, keepdim=True).clamp_(min=smallest).div_(self.largest)
        # The largest is at most one rounding above 127, never at 127.5: nothing is to be clamped.
        return Codes((x / step).round_().to(torch.int8), step)

    def gradients(self, x: Tensor, codes: Codes, gradient: Tensor) -> tuple[Tensor, ...]:
        return (gradient,)
