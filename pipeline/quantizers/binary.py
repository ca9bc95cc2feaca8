"""Two-level weights with one scale (BWN, Rastegari et al., arXiv:1603.05279, eq. 6).

The closest `scale * {-1, +1}` to a row in squared error is sign(w) * mean|w|. Activations: see activation.py.
"""

import torch
from torch import Tensor

from pipeline.quantizers.quantizer import Granularity, Quantized, half_precision, mean


def binarize(weight_OI: Tensor, granularity: Granularity) -> Quantized:
    """Closest two-level weights. Zero counts as positive, so no third level appears."""
    codes_OI = (weight_OI >= 0).to(torch.int8).mul_(2).sub_(1)
    return Quantized(codes_OI, half_precision(mean(weight_OI.abs(), granularity)))
