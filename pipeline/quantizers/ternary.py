"""Three-level weights with one scale (TWN, Li et al., arXiv:1605.04711, eq. 5 and 6).

Weights below the threshold 0.7 * mean|w| become zero; the scale is the mean of the magnitudes that survive.
"""

import torch
from torch import Tensor

from pipeline.quantizers.quantizer import Granularity, Quantized, half_precision, mean

THRESHOLD = 0.7


def ternarize(weight_OI: Tensor, granularity: Granularity) -> Quantized:
    """Codes in {-1, 0, +1}. A row of zeros keeps codes 0 and scale 0."""
    magnitude_OI = weight_OI.abs()
    survives_OI = magnitude_OI > THRESHOLD * mean(magnitude_OI, granularity)
    share_O1 = mean(survives_OI.to(weight_OI.dtype), granularity)
    total_O1 = mean(magnitude_OI * survives_OI, granularity)
    # A row of zeros has no survivors: 0 / tiny is the scale 0 that is right for it.
    scale_O1 = total_O1 / share_O1.clamp(min=torch.finfo(weight_OI.dtype).tiny)
    codes_OI = torch.sign(weight_OI).to(torch.int8).mul_(survives_OI)
    return Quantized(codes_OI, half_precision(scale_O1))
