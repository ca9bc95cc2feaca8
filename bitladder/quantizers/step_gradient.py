"""Learned steps from their logarithms, and their gradients: their scale (LSQ, arXiv:1902.08153, section 2.2),
and the sum they are."""

import math
from typing import Any, cast

import torch
from torch import Tensor

from bitladder.quantizers.quantizer import LARGEST_HALF, SMALLEST_HALF
from bitladder.quantizers.straight_through import straight_through

_LOWEST, _HIGHEST = math.log(SMALLEST_HALF), math.log(LARGEST_HALF)


def positive_step(log_step: Tensor) -> Tensor:
    """The step, a positive number of half precision's range however far the optimizer went.

    Outside that range the gradient is that of the step at its end, by which it finds back. NaN stays NaN.
    It is the nearest float32: exponentials in float32 differ between libraries and processors, and where an
    input lies just between two codes the last bit of a step decides.
    """
    clamped = straight_through(log_step, log_step.detach().clamp(_LOWEST, _HIGHEST))
    return clamped.double().exp().to(log_step.dtype)


def dot(first: Tensor, second: Tensor) -> Tensor:
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


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """x forward, the gradient times `factor` backward."""
    return cast("Tensor", _ScaleGradient.apply(x, factor))  # type: ignore[no-untyped-call]
