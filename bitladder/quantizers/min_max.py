"""Evenly spaced weights, symmetric, range from the largest magnitude (Q8BERT, arXiv:1910.06188).

b bits hold the codes -(2^(b-1) - 1) .. 2^(b-1) - 1: without the most negative one, so that zero is in the
middle. 2 bits have three levels, of which the outer ones are the largest weight and its negative. Scales of 8
bits are rounded up, so that no weight is clipped.
"""

from torch import Tensor

from bitladder.quantizers.weight import WeightQuantizer, nearest


class MinMax(WeightQuantizer):
    """The nearest of 2^bits - 1 levels. A row of zeros keeps codes 0 and scale 0."""

    def round(self, rows_RN: Tensor, which_R: Tensor | None) -> tuple[Tensor, Tensor]:
        largest = self.layout.largest
        scale_R1 = self.layout.rounded(rows_RN.abs().amax(dim=1, keepdim=True) / largest, up=True)
        return nearest(rows_RN, scale_R1, largest), scale_R1


build = MinMax
