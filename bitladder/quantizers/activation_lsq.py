"""`activation_quantizer: lsq`: 2, 4 or 8 bits with a learned step (LSQ, Esser et al., arXiv:1902.08153), and
a learned offset where values are neither centred nor from zero on by nature (LSQ+, Bhalgat et al.,
arXiv:2004.09576).

2 bits have the codes -2..1, as in LSQ, or 0..3; 4 and 8 bits leave the most negative code out, so that zero
is in the middle. Codes are int8, so that 8 bits without a sign are 0..127.
"""

import math

import torch
from torch import Tensor, nn

from bitladder.quantizers.activation import ActivationQuantizer, Codes
from bitladder.quantizers.rounding import dot, positive_step, scale_gradient, straight_through


def build(bits: int, *, signed: bool, shift_shape: tuple[int, ...] | None) -> "ActivationLsq":
    """Signed, or from the lowest value on where it may be shifted, or from zero on."""
    if not signed:
        return ActivationLsq(0, min(2**bits - 1, 127), has_offset=shift_shape is not None)
    high = 2 ** (bits - 1) - 1
    return ActivationLsq(-2 if bits == 2 else -high, high, has_offset=False)


class ActivationLsq(ActivationQuantizer):
    """`step * clamp(round((x - offset) / step), low, high) + offset`, step and offset learned.

    Args:
        low, high: the smallest and the largest code.
        has_offset: learn where the lowest level lies; for values that are not centred on zero.
    """

    def __init__(self, low: int, high: int, *, has_offset: bool) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.largest = max(-low, high)
        self.log_step = nn.Parameter(torch.tensor(math.nan))
        self.offset = nn.Parameter(torch.tensor(0.0)) if has_offset else None

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """The step of least squared error among 48, from the one that covers the whole range to 1/228 of it.

        They fall by a ninth each: at 2 bits the best one lies far below a range that a few outliers stretch.
        """
        lowest = x.min() if self.offset is not None else torch.zeros(())
        if self.offset is not None:
            self.offset.copy_(lowest)
        shifted = x - lowest
        widest = shifted.abs().max().clamp(min=1e-6) / self.high
        steps = [widest * 2 ** (-number / 6) for number in range(48)]
        # One for all: with fresh pages for each result it takes ten times as long.
        room = torch.empty_like(shifted)
        errors = torch.stack([self._squared_error(shifted, step, room) for step in steps])
        self.log_step.copy_(steps[int(errors.argmin())].log())

    def forward(self, x: Tensor) -> Tensor:
        shifted = x if self.offset is None else x - self.offset
        step = positive_step(self.log_step)
        # LSQ's gradient scale, so that one step's updates stay as small as one weight's.
        step = scale_gradient(step, self._gradient_scale(x))
        ratio = (shifted / step).clamp(self.low, self.high)
        values = straight_through(ratio, ratio.detach().round()) * step
        return values if self.offset is None else values + self.offset

    @torch.no_grad()
    def encode(self, x: Tensor) -> Codes:
        step = positive_step(self.log_step)
        integers = self._ratio(x, step).clamp_(self.low, self.high).round_().to(torch.int8)
        return Codes(integers, step, self.offset)

    @torch.no_grad()
    def gradients(self, x: Tensor, codes: Codes, gradient: Tensor) -> tuple[Tensor, ...]:
        ratio = self._ratio(x, codes.step)
        clamped = ratio.clamp(self.low, self.high)
        inside = ratio.eq_(clamped)
        # The code where x is outside, what rounding added to it where x is inside.
        towards_step = dot(gradient, codes.integers - clamped.mul_(inside))
        log_step = towards_step * codes.step * self._gradient_scale(x)
        if self.offset is None:
            return gradient * inside, log_step
        of_x = gradient * inside
        return of_x, log_step, gradient.sum() - of_x.sum()

    def _squared_error(self, x: Tensor, step: Tensor, room: Tensor) -> Tensor:
        """Mean of what rounding x to this step adds, squared; overwrites `room`."""
        levels = torch.div(x, step, out=room).round_().clamp_(self.low, self.high).mul_(step)
        return levels.sub_(x).square_().mean()

    def _ratio(self, x: Tensor, step: Tensor) -> Tensor:
        return x / step if self.offset is None else (x - self.offset).div_(step)

    def _gradient_scale(self, x: Tensor) -> float:
        return 1.0 / math.sqrt(x[0].numel() * self.high)
