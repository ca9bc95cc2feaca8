"""What a weight quantizer returns: small integers and the scale that turns them back into weights.

Shapes: O output features (rows of a linear, entries of a table), I input features. A trailing 1 is a kept
dimension; a matrix-wise scale has shape [1, 1].

Scales are rounded to half precision *in training*, because that is how they are stored: a packed model then
has exactly the weights that were trained, not nearly.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Granularity = Literal["row", "matrix", "group"]


@dataclass(frozen=True)
class Quantized:
    """Weights as `codes * scale`.

    Attributes:
        codes_OI: whole numbers, int8.
        scale_O1: [O, 1] (per row) or [1, 1] (per matrix); never negative, exactly a float16.
    """

    codes_OI: Tensor
    scale_O1: Tensor

    @property
    def values_OI(self) -> Tensor:
        return self.codes_OI.to(self.scale_O1.dtype).mul_(self.scale_O1)


def half_precision(values: Tensor) -> Tensor:
    """Round to the nearest float16 and keep the dtype."""
    return values.to(torch.float16).to(values.dtype)


def mean(values_OI: Tensor, granularity: Granularity) -> Tensor:
    """Mean per row [O, 1] or over the matrix [1, 1]."""
    return values_OI.mean(dim=1, keepdim=True) if granularity == "row" else values_OI.mean().reshape(1, 1)


def largest(values_OI: Tensor, granularity: Granularity) -> Tensor:
    """Maximum per row [O, 1] or over the matrix [1, 1]."""
    return values_OI.amax(dim=1, keepdim=True) if granularity == "row" else values_OI.amax().reshape(1, 1)
