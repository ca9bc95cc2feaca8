"""Quantized weights: small integers and the scales that turn them back into weights.

Shapes: O output features (rows of a linear, entries of a table), I input features, G groups of N
neighbouring inputs in a row. A scale per row is [O, 1], per matrix [1, 1], per group [O, G].

Scales are rounded to half precision *in training*, because that is how they are stored: a packed model then
has exactly the weights that were trained, not nearly.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_HALF, LARGEST_HALF = 2**-24, 65504.0  # of the positive numbers of half precision


@dataclass(frozen=True)
class Quantized:
    """Weights as `codes * scale`.

    Attributes:
        codes_OI: whole numbers, int8.
        scale_OG: never negative, exactly a float16.
        largest: the largest magnitude that a code may have.
    """

    codes_OI: Tensor
    scale_OG: Tensor
    largest: int

    @property
    def num_groups(self) -> int:
        """In a row; 1 where rows or the matrix share a scale."""
        return self.scale_OG.shape[1]

    @property
    def values_OI(self) -> Tensor:
        values_OI = self.codes_OI.to(self.scale_OG.dtype)
        if self.num_groups == 1:
            return values_OI.mul_(self.scale_OG)
        values_OGN = values_OI.view(len(values_OI), self.num_groups, -1)
        return values_OGN.mul_(self.scale_OG.unsqueeze(2)).flatten(1)

    @property
    def sums_O1(self) -> Tensor:
        """The sum of each row's weights."""
        codes_OGN = self.codes_OI.reshape(len(self.codes_OI), self.num_groups, -1)
        sums_OG = codes_OGN.sum(dim=2) * self.scale_OG
        return sums_OG.sum(dim=1, keepdim=True)


def half_precision(values: Tensor) -> Tensor:
    """Round to the nearest float16 and keep the dtype."""
    return values.to(torch.float16).to(values.dtype)
