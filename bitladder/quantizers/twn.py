"""Three-level weights with one scale (TWN, Li et al., arXiv:1605.04711, eq. 5 and 6).

Weights below the threshold 0.7 * mean|w| become zero; the scale is the mean of the magnitudes that survive.
"""

import torch
from torch import Tensor

from bitladder.quantizers.weight import WeightQuantizer

THRESHOLD = 0.7


class Ternary(WeightQuantizer):
    """Codes in {-1, 0, +1}. A row of zeros keeps codes 0 and scale 0."""

    def round(self, rows_RN: Tensor, which_R: Tensor | None) -> tuple[Tensor, Tensor]:
        magnitude_RN = rows_RN.abs()
        survives_RN = magnitude_RN > THRESHOLD * magnitude_RN.mean(dim=1, keepdim=True)
        share_R1 = survives_RN.to(rows_RN.dtype).mean(dim=1, keepdim=True)
        total_R1 = (magnitude_RN * survives_RN).mean(dim=1, keepdim=True)
        # A row of zeros has no survivors: 0 / tiny is the scale 0 that is right for it.
        scale_R1 = total_R1 / share_R1.clamp(min=torch.finfo(rows_RN.dtype).tiny)
        return torch.sign(rows_RN).to(torch.int8).mul_(survives_RN), self.layout.rounded(scale_R1)


build = Ternary
