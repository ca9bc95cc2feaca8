"""1 bit with a learned step and a learned shift per channel: elastic binarization (BiT, Liu et al.,
arXiv:2205.13016).

{0, 1} * step where values are not negative by nature (softmax, GELU and ReLU outputs), {-1, +1} * step
elsewhere.
"""

import math

import torch
from torch import Tensor, nn

from bitladder.quantizers.activation import ActivationQuantizer, Codes
from bitladder.quantizers.rounding import dot, positive_step, scale_gradient, straight_through


def build(bits: int, *, signed: bool, shift_shape: tuple[int, ...] | None) -> "ElasticBinary":
    """bits: 1, and nothing else."""
    return ElasticBinary(signed=signed, shift_shape=shift_shape)


class ElasticBinary(ActivationQuantizer):
    """Two levels: `step * {0, 1}` or `step * {-1, +1}`, after a learned shift. Zero counts as positive.

    Args:
        signed: {-1, +1}; else {0, 1}, with the threshold at half a step.
        shift_shape: shape of the shift, broadcast against x; None for no shift.
    """

    def __init__(self, *, signed: bool, shift_shape: tuple[int, ...] | None) -> None:
        super().__init__()
        self.signed = signed
        self.largest = 1
        self.log_step = nn.Parameter(torch.tensor(math.nan))
        self.shift = nn.Parameter(torch.zeros(shift_shape)) if shift_shape is not None else None

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Shift: the mean per channel (signed only). Step: least squared error (Lloyd for {0, 1})."""
        if self.shift is not None and self.signed:
            self.shift.copy_(_mean_to_shape(x, self.shift.shape))
        shifted = x if self.shift is None else x - self.shift
        step = shifted.abs().mean() if self.signed else _two_level_step(shifted)
        self.log_step.copy_(step.clamp(min=1e-6).log())

    def forward(self, x: Tensor) -> Tensor:
        shifted = x if self.shift is None else x - self.shift
        step = scale_gradient(positive_step(self.log_step), self._gradient_scale(x))
        # The signs do not depend on the step, so its exact derivative is known; the threshold of {0, 1} does.
        unit = step.detach() if self.signed else step
        ratio = (shifted / unit).clamp(-1.0 if self.signed else 0.0, 1.0)
        with torch.no_grad():
            codes = torch.where(ratio < 0, -1.0, 1.0) if self.signed else (ratio >= 0.5).to(x.dtype)
        return straight_through(ratio, codes) * step

    @torch.no_grad()
    def encode(self, x: Tensor) -> Codes:
        step = positive_step(self.log_step)
        if self.signed:
            is_high = x >= (0 if self.shift is None else self.shift)
            return Codes(is_high.to(torch.int8).mul_(2).sub_(1), step)
        return Codes((self._ratio(x, step) >= 0.5).to(torch.int8), step)

    @torch.no_grad()
    def gradients(self, x: Tensor, codes: Codes, gradient: Tensor) -> tuple[Tensor, ...]:
        ratio = self._ratio(x, codes.step)
        clamped = ratio.clamp(-1.0 if self.signed else 0.0, 1.0)
        inside = ratio.eq_(clamped)
        towards = codes.integers if self.signed else codes.integers - clamped.mul_(inside)
        log_step = dot(gradient, towards) * codes.step * self._gradient_scale(x)
        of_x = gradient * inside
        if self.shift is None:
            return of_x, log_step
        return of_x, log_step, of_x.sum_to_size(_padded(x, self.shift.shape)).reshape_as(self.shift).neg()

    def _ratio(self, x: Tensor, step: Tensor) -> Tensor:
        return x / step if self.shift is None else (x - self.shift).div_(step)

    def _gradient_scale(self, x: Tensor) -> float:
        return 1.0 / math.sqrt(x[0].numel())


def _two_level_step(x: Tensor) -> Tensor:
    """The a of least squared error between x and a * [x >= a / 2], from the mean of the positive part on."""
    step = x.clamp(min=0).mean() * 2
    for _ in range(20):
        above = x >= step / 2
        step = torch.where(above, x, 0).sum() / above.sum().clamp(min=1)
    return step


def _mean_to_shape(x: Tensor, shape: torch.Size) -> Tensor:
    """Mean of x over every dimension that `shape` does not keep."""
    reduced = [dim for dim, size in enumerate(_padded(x, shape)) if size == 1]
    return x.mean(dim=reduced, keepdim=True).reshape(shape) if reduced else x.reshape(shape)


def _padded(x: Tensor, shape: torch.Size) -> tuple[int, ...]:
    """`shape` with as many dimensions as x has."""
    return (1,) * (x.dim() - len(shape)) + tuple(shape)
