"""`weight_quantizer: lsq`: evenly spaced weights whose step is learned (LSQ, Esser et al., arXiv:1902.08153),
as KDLSQ-BERT uses for BERT (arXiv:2101.05938).

    value = s * clamp(round(w / s), -Q, Q)        Q = 1, 7, 127 for 2, 4, 8 bits

    d value / d s = round(w / s) - w / s inside, -Q or Q outside        d value / d w = 1 inside, 0 outside

The gradient of s is scaled by 1 / sqrt(N Q), N the weights that share it (section 2.2). What is learned is
log s, so that s is positive whatever the optimizer does; BinaryBERT's and BiT's only hope so. s is rounded
as it is stored, which gradients pass straight through. Ours besides: levels are symmetric, without the -Q
- 1 of the paper; the first s is the best of 40 in squared error, not 2 mean|w| / sqrt(Q), of which the
range is several times too wide at 8 bits.

Steps of a table that no batch has looked up keep their first value. An unset step is NaN: none is used
unnoticed."""

import math

import torch
from torch import Tensor, nn

from bitladder.quantizers.rounding import positive_step, scale_gradient, straight_through
from bitladder.quantizers.weight import ScaleLayout, WeightQuantizer, nearest

FRACTIONS = 40


class WeightLsq(WeightQuantizer):
    """Attributes:
    log_step: of what shares a scale, [R, 1].
    """

    def __init__(self, layout: ScaleLayout) -> None:
        super().__init__(layout)
        self.log_step = nn.Parameter(torch.full((layout.num_rows, 1), math.nan))

    @torch.no_grad()
    def calibrate(self, weight_OI: Tensor) -> None:
        """The step of least squared error among 40 fractions of the one that covers a row's whole range."""
        rows_RN, largest = self.layout.rows(weight_OI), self.layout.largest
        widest_R1 = rows_RN.abs().amax(dim=1, keepdim=True) / largest
        best_R1, least_R1 = torch.zeros_like(widest_R1), torch.full_like(widest_R1, math.inf)
        for numerator in range(1, FRACTIONS + 1):
            step_R1 = self.layout.positive(widest_R1 * numerator / FRACTIONS)
            values_RN = nearest(rows_RN, step_R1, largest) * step_R1
            error_R1 = (values_RN - rows_RN).square().mean(dim=1, keepdim=True)
            best_R1 = torch.where(error_R1 < least_R1, step_R1, best_R1)
            least_R1 = torch.minimum(error_R1, least_R1)
        self.log_step.copy_(best_R1.log())

    def round(self, rows_RN: Tensor, which_R: Tensor | None) -> tuple[Tensor, Tensor]:
        step_R1 = self.layout.positive(positive_step(self._log_step(which_R)))
        return nearest(rows_RN, step_R1, self.layout.largest), step_R1

    def smooth(self, rows_RN: Tensor, which_R: Tensor | None) -> Tensor:
        largest = self.layout.largest
        step_R1 = positive_step(self._log_step(which_R))
        step_R1 = straight_through(step_R1, self.layout.positive(step_R1.detach()))
        step_R1 = scale_gradient(step_R1, 1 / math.sqrt(rows_RN.shape[1] * largest))
        ratio_RN = (rows_RN / step_R1).clamp(-largest, largest)
        return straight_through(ratio_RN, ratio_RN.detach().round()) * step_R1

    def _log_step(self, which_R: Tensor | None) -> Tensor:
        return self.log_step if which_R is None else self.log_step[which_R]


build = WeightLsq
