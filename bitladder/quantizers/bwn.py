"""Two-level weights with one scale (BWN, Rastegari et al., arXiv:1603.05279, eq. 6).

The closest `scale * {-1, +1}` to a row in squared error is sign(w) * mean|w|.
"""

from torch import Tensor

from bitladder.quantizers.weight import WeightQuantizer, signs


class Binary(WeightQuantizer):
    """Zero counts as positive."""

    def round(self, rows_RN: Tensor, which_R: Tensor | None) -> tuple[Tensor, Tensor]:
        return signs(rows_RN), self.layout.rounded(rows_RN.abs().mean(dim=1, keepdim=True))


build = Binary
