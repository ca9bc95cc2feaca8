"""Activation quantizers, one module per place where activations are quantized.

8 bits: symmetric, one scale per token from its largest magnitude; nothing to learn.
4 bits: learned step (LSQ, Esser et al., arXiv:1902.08153), with a learned offset where values are not centred
        (LSQ+, Bhalgat et al., arXiv:2004.09576).
1 bit:  elastic binarization (BiT, Liu et al., arXiv:2205.13016): {0, 1} * step where values are not negative
        by nature (softmax, GELU outputs), {-1, +1} * step elsewhere, with a learned shift per channel.

Each says the same thing three times. `forward` is the reference, in plain autograd. `encode` gives the whole
numbers that integer products multiply; `gradients` gives what autograd makes of `forward`, in fewer passes.

Steps are positive by construction: the parameter is their logarithm. They are set once, from data, by
`initialization/step_sizes.py`, and are saved with the weights. An unset step is NaN: none is used unnoticed.

Shapes: x is [..., C] and a shift per channel [C]; in attention products [B, heads, S, C] and [heads, 1, C].
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.quantizers.straight_through import straight_through


@dataclass(frozen=True)
class Codes:
    """Activations as whole numbers: `integers * step + offset`.

    Attributes:
        integers: int8, of the activations' shape.
        step: one per token [..., 1], or a single one [].
        offset: a single one [], or None for none.
    """

    integers: Tensor
    step: Tensor
    offset: Tensor | None = None

    def values(self) -> Tensor:
        """The activations as `forward` gives them, in the step's dtype."""
        values = self.integers.to(self.step.dtype).mul_(self.step)
        return values if self.offset is None else values.add_(self.offset)


class ActivationQuantizer(nn.Module):
    """Rounds its input to few levels; `calibrate` sets what is learned from one batch of that input.

    Attributes:
        largest: the largest magnitude of a code.
    """

    largest: int

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Set steps and shifts from x. Quantizers without parameters have nothing to set."""

    def learned(self) -> tuple[Tensor, ...]:
        """The parameters, without the search through submodules that `parameters()` makes at each call."""
        return tuple(parameter for parameter in self._parameters.values() if parameter is not None)

    def show(self, x: Tensor) -> None:
        """Let hooks see x: calibration waits for calls, and `encode` is none."""
        if self._forward_pre_hooks or self._forward_hooks:
            self(x)

    def encode(self, x: Tensor) -> Codes:
        """x as whole numbers; nothing is recorded for autograd."""
        raise NotImplementedError

    def gradients(self, x: Tensor, codes: Codes, gradient: Tensor) -> tuple[Tensor, ...]:
        """From the gradient of `forward(x)`, that of x and of each that is `learned`; codes: `encode(x)`."""
        raise NotImplementedError


class PerToken(ActivationQuantizer):
    """Symmetric uniform levels, the scale of each token (the last dimension) from its largest magnitude."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.largest = 2 ** (bits - 1) - 1

    def forward(self, x: Tensor) -> Tensor:
        return straight_through(x, self.encode(x).values())

    @torch.no_grad()
    def encode(self, x: Tensor) -> Codes:
        # No division by zero: a token of zeros stays zeros.
        smallest = torch.finfo(x.dtype).tiny * self.largest
        step = x.abs().amax(dim=-1, keepdim=True).clamp_(min=smallest).div_(self.largest)
        # The largest is at most one rounding above 127, never at 127.5: nothing is to be clamped.
        return Codes((x / step).round_().to(torch.int8), step)

    def gradients(self, x: Tensor, codes: Codes, gradient: Tensor) -> tuple[Tensor, ...]:
        return (gradient,)


class LearnedStep(ActivationQuantizer):
    """LSQ: `step * clamp(round((x - offset) / step), low, high) + offset`, step and offset learned.

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
        """The step of least squared error among 40 fractions of the one that covers the whole range."""
        lowest = x.min() if self.offset is not None else torch.zeros(())
        if self.offset is not None:
            self.offset.copy_(lowest)
        shifted = x - lowest
        widest = shifted.abs().max().clamp(min=1e-6) / self.high
        steps = [widest * fraction / 40 for fraction in range(1, 41)]
        errors = torch.stack(
            [((shifted / s).round().clamp(self.low, self.high) * s - shifted).square().mean() for s in steps]
        )
        self.log_step.copy_(steps[int(errors.argmin())].log())

    def forward(self, x: Tensor) -> Tensor:
        shifted = x if self.offset is None else x - self.offset
        step = self.log_step.exp()
        # LSQ's gradient scale, so that one step's updates stay as small as one weight's.
        step = _scale_gradient(step, self._gradient_scale(x))
        ratio = (shifted / step).clamp(self.low, self.high)
        values = straight_through(ratio, ratio.detach().round()) * step
        return values if self.offset is None else values + self.offset

    @torch.no_grad()
    def encode(self, x: Tensor) -> Codes:
        step = self.log_step.exp()
        integers = self._ratio(x, step).clamp_(self.low, self.high).round_().to(torch.int8)
        return Codes(integers, step, self.offset)

    @torch.no_grad()
    def gradients(self, x: Tensor, codes: Codes, gradient: Tensor) -> tuple[Tensor, ...]:
        ratio = self._ratio(x, codes.step)
        clamped = ratio.clamp(self.low, self.high)
        inside = ratio.eq_(clamped)
        # The code where x is outside, what rounding added to it where x is inside.
        towards_step = _dot(gradient, codes.integers - clamped.mul_(inside))
        log_step = towards_step * codes.step * self._gradient_scale(x)
        if self.offset is None:
            return gradient * inside, log_step
        of_x = gradient * inside
        return of_x, log_step, gradient.sum() - of_x.sum()

    def _ratio(self, x: Tensor, step: Tensor) -> Tensor:
        return x / step if self.offset is None else (x - self.offset).div_(step)

    def _gradient_scale(self, x: Tensor) -> float:
        return 1.0 / math.sqrt(x[0].numel() * self.high)


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
        step = _scale_gradient(self.log_step.exp(), self._gradient_scale(x))
        # The signs do not depend on the step, so its exact derivative is known; the threshold of {0, 1} does.
        unit = step.detach() if self.signed else step
        ratio = (shifted / unit).clamp(-1.0 if self.signed else 0.0, 1.0)
        with torch.no_grad():
            codes = torch.where(ratio < 0, -1.0, 1.0) if self.signed else (ratio >= 0.5).to(x.dtype)
        return straight_through(ratio, codes) * step

    @torch.no_grad()
    def encode(self, x: Tensor) -> Codes:
        step = self.log_step.exp()
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
        log_step = _dot(gradient, towards) * codes.step * self._gradient_scale(x)
        of_x = gradient * inside
        if self.shift is None:
            return of_x, log_step
        return of_x, log_step, of_x.sum_to_size(_padded(x, self.shift.shape)).reshape_as(self.shift).neg()

    def _ratio(self, x: Tensor, step: Tensor) -> Tensor:
        return x / step if self.shift is None else (x - self.shift).div_(step)

    def _gradient_scale(self, x: Tensor) -> float:
        return 1.0 / math.sqrt(x[0].numel())


def activation_quantizer(
    bits: int, *, signed: bool, shift_shape: tuple[int, ...] | None
) -> ActivationQuantizer:
    """The quantizer of `bits` (8, 4 or 1) for one place; signed: its values are centred on zero."""
    if bits == 8:
        return PerToken(bits)
    if bits == 4:
        low, high = (-7, 7) if signed else (0, 15)
        return LearnedStep(low, high, has_offset=not signed and shift_shape is not None)
    return ElasticBinary(signed=signed, shift_shape=shift_shape)


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


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """The sum of their products."""
    return torch.dot(first.flatten(), second.to(first.dtype).flatten())


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, None]:
        return gradients[0] * ctx.factor, None


def _scale_gradient(x: Tensor, factor: float) -> Tensor:
    """x forward, the gradient times `factor` backward."""
    return cast("Tensor", _ScaleGradient.apply(x, factor))  # type: ignore[no-untyped-call]
