"""The straight-through estimator: a step function forward, the identity backward (arXiv:1308.3432)."""

from typing import Any, cast

import torch
from torch import Tensor


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
