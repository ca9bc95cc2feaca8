"""Gradients of learned steps: their scale (LSQ, arXiv:1902.08153, section 2.2), and the sum they are."""

from typing import Any, cast

import torch
from torch import Tensor


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
