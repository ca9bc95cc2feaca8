"""Evenly spaced weights, symmetric, range from the largest magnitude (Q8BERT, arXiv:1910.06188).

b bits hold the codes -(2^(b-1) - 1) .. 2^(b-1) - 1: without the most negative one, so
that zero is in the middle.
"""

import torch
from torch import Tensor

from pipeline.quantizers.quantizer import Granularity, Quantized, half_precision, largest


def quantize_uniform(weight_OI: Tensor, bits: int, granularity: Granularity) -> Quantized:
    """Round to the nearest of 2^bits - 1 levels. A row of zeros keeps codes 0 and scale 0."""
    top = 2 ** (bits - 1) - 1
    scale_O1 = half_precision(largest(weight_OI.abs(), granularity) / top)
    step_O1 = scale_O1.clamp(min=torch.finfo(weight_OI.dtype).tiny)
    codes_OI = (weight_OI / step_O1).round_().clamp_(-top, top).to(torch.int8)
    return Quantized(codes_OI, scale_O1)
