"""8 bits, symmetric, one step per tensor from a moving average of its largest magnitude (Q8BERT, Zafrir et
al., arXiv:1910.06188).

The average is not learned but measured: every batch of the training moves it, and in evaluation it stands
still. It is a buffer, saved with the weights, and begins with the batch that `calibrate` sees. What exceeds
it is cut off; the gradient passes unchanged, there too, as in the authors' code.
"""

import math

import torch
from torch import Tensor

from bitladder.quantizers.activation import ActivationQuantizer, Codes
from bitladder.quantizers.rounding import straight_through

DECAY = 0.9999


def build(bits: int, *, signed: bool, shift_shape: tuple[int, ...] | None) -> "MinMaxEma":
    """The same everywhere: values without a sign use half of the levels."""
    return MinMaxEma(bits)


class MinMaxEma(ActivationQuantizer):
    """Symmetric uniform levels up to the average of what was the largest magnitude of each batch."""

    gradient_needs_x = False
    magnitude: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.largest = 2 ** (bits - 1) - 1
        self.register_buffer("magnitude", torch.tensor(math.nan))

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        self.magnitude.copy_(x.abs().max())

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        if self.training:
            self.magnitude.lerp_(x.abs().max(), 1 - DECAY)

    def forward(self, x: Tensor) -> Tensor:
        self.observe(x)
        return straight_through(x, self.encode(x).values())

    @torch.no_grad()
    def encode(self, x: Tensor) -> Codes:
        # No division by zero where nothing but zeros was seen.
        step = self.magnitude.clamp(min=torch.finfo(x.dtype).tiny * self.largest) / self.largest
        return Codes((x / step).clamp_(-self.largest, self.largest).round_().to(torch.int8), step)

    def gradients(self, x: Tensor, codes: Codes, gradient: Tensor) -> tuple[Tensor, ...]:
        return (gradient,)
