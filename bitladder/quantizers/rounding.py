"""Rounding and its gradients: what most quantizers share.

A step function has no useful gradient. The straight-through estimator (arXiv:1308.3432) is the step function
forward and the identity backward. Learned steps are kept as logarithms, and their gradients are scaled (LSQ,
arXiv:1902.08153, section 2.2).
"""

import math
from typing import Any, cast

import torch
from torch import Tensor

from bitladder.quantizers import scale_codes

SMALLEST_HALF, LARGEST_HALF = 2**-24, 65504.0  # of the positive numbers of half precision
_LOWEST, _HIGHEST = math.log(SMALLEST_HALF), math.log(LARGEST_HALF)


def half_precision(values: Tensor) -> Tensor:
    """Round to the nearest float16 and keep the dtype."""
    return values.to(torch.float16).to(values.dtype)


def eight_bits(scales: Tensor, *, up: bool = False) -> Tensor:
    """Round to the nearest scale that has a code of 8 bits, or to the next that is no smaller, and keep the
    dtype; what is beyond the largest becomes that. NaN stays NaN.
    """
    bounds = torch.from_numpy(scale_codes.SCALES[:-1] if up else scale_codes.BETWEEN).to(scales.device)
    codes = torch.bucketize(scales.float().contiguous(), bounds, right=not up)
    return torch.where(scales.isnan(), scales, decoded(codes).to(scales.dtype))


def decoded(codes: Tensor) -> Tensor:
    """The scales, float32, of these codes."""
    return torch.from_numpy(scale_codes.SCALES).to(codes.device)[codes.int()]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, latent: Tensor, values: Tensor) -> Tensor:
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, None]:
        return gradients[0], None


def straight_through(latent: Tensor, values: Tensor) -> Tensor:
    """`values`, with the gradient passed unchanged to `latent`. Shapes and dtypes are equal."""
    return cast("Tensor", _StraightThrough.apply(latent, values))  # type: ignore[no-untyped-call]


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
