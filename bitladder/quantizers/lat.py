"""Three-level weights chosen by what they cost the loss (LAT, Hou and Kwok, ICLR 2018, arXiv:1802.08635,
section 3).

Among codes b in {-1, 0, +1} and scales a, those of least weighted error

    sum of d (w - a b)^2        d = sqrt(v) + eps, v Adam's mean of squared gradients

d stands for the diagonal of the loss's Hessian. For a given scale the best codes keep the weights with |w|
> a / 2; for given codes the best scale is sum of d |w| over what is kept, divided by the sum of d. The
paper alternates the two, or solves exactly; TernaryBERT (arXiv:2009.12812) alternates. Here it is solved
exactly: what is kept is always the largest magnitudes, so every threshold is tried, by one sort and sums
along it.

v is seen after each step of the optimizer and kept with the weights, so that a loaded rung has the codes
that were trained. Before the first step it is zero and d the same for all: the closest three levels in
plain squared error (which TWN's threshold approximates). So it is for entries of a table that no batch has
looked up. Adam's bias correction is left out: but for eps it is one factor on all of d, which changes
nothing. BinaryBERT's quantizer of this name leaves v out altogether."""

import numpy as np
import torch
from torch import Tensor

from bitladder.quantizers.weight import ScaleLayout, WeightQuantizer

EPSILON = 1e-8  # Adam's own


class LossAwareTernary(WeightQuantizer):
    """A row of zeros keeps codes 0 and scale 0.

    Attributes:
        curvature: sqrt(v) of each weight [O, I], as of the optimizer's last step.
    """

    observes = True
    curvature: Tensor

    def __init__(self, layout: ScaleLayout) -> None:
        super().__init__(layout)
        self.register_buffer("curvature", torch.zeros(layout.num_outputs, layout.num_inputs))

    @torch.no_grad()
    def observe(self, second_moment_OI: Tensor) -> None:
        torch.sqrt(second_moment_OI, out=self.curvature)

    def round(self, rows_RN: Tensor, which_R: Tensor | None) -> tuple[Tensor, Tensor]:
        curvature_RN = self.layout.rows(self.curvature)
        weighting_RN = (curvature_RN if which_R is None else curvature_RN[which_R]) + EPSILON
        magnitude_RN = rows_RN.abs()
        scale_R1 = self.layout.rounded(best_scale(magnitude_RN, weighting_RN))
        survives_RN = magnitude_RN > scale_R1 / 2
        return torch.sign(rows_RN).to(torch.int8).mul_(survives_RN), scale_R1


def best_scale(magnitude_RN: Tensor, weighting_RN: Tensor) -> Tensor:
    """The scale [R, 1] of three levels with the least weighted squared error.

    Keeping the k largest lowers the error by (sum of d |w|)^2 / (sum of d), both over those k.
    """
    magnitude_RN, weighting_RN = _largest_first(magnitude_RN, weighting_RN)
    # float64: differences between two k are small against sums over a whole matrix.
    kept_RN = weighting_RN.cumsum(dim=1, dtype=torch.float64)
    weighted_RN = (weighting_RN * magnitude_RN).cumsum(dim=1, dtype=torch.float64)
    best_R1 = (weighted_RN.square() / kept_RN).argmax(dim=1, keepdim=True)
    return (weighted_RN.gather(1, best_R1) / kept_RN.gather(1, best_R1)).to(magnitude_RN.dtype)


def _largest_first(magnitude_RN: Tensor, weighting_RN: Tensor) -> tuple[Tensor, Tensor]:
    """Both, float32 and not negative, by falling magnitude.

    They are sorted as one whole number, magnitude before weighting: the bits of positive floats are in their
    order. On a CPU torch always finds the places too, which would take longer than everything else here.
    """
    pair_RN = (magnitude_RN.view(torch.int32).to(torch.int64) << 32) | weighting_RN.view(torch.int32)
    if pair_RN.device.type == "cpu":
        pair_RN = torch.from_numpy(np.sort(pair_RN.numpy(), axis=1)).flip(1)
    else:
        pair_RN = pair_RN.sort(dim=1, descending=True).values
    return (pair_RN >> 32).to(torch.int32).view(torch.float32), pair_RN.to(torch.int32).view(torch.float32)


build = LossAwareTernary
