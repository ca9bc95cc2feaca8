"""Two-level weights, half of them positive: the mean is removed before the sign is taken.

    code = sign(w - mean(w))        scale = mean|w|

BiBERT (Qin et al., arXiv:2203.06390, eq. 6) removes each row's mean, BiT (Liu et al., arXiv:2205.13016)
that of the whole matrix; here it is that of what shares a scale. Both take the magnitude of w itself for
the scale, not of what is left without the mean, and so do we. Gradients go through the mean, as in BiBERT's
code: what moves all weights of a row alike would change no code. Its clipping of gradients where |w - mean|
> 1 is left out."""

from torch import Tensor

from bitladder.quantizers.weight import WeightQuantizer, signs


class ZeroMeanBinary(WeightQuantizer):
    """A weight that equals the mean counts as positive."""

    def round(self, rows_RN: Tensor, which_R: Tensor | None) -> tuple[Tensor, Tensor]:
        scale_R1 = self.layout.rounded(rows_RN.abs().mean(dim=1, keepdim=True))
        return signs(self.smooth(rows_RN, which_R)), scale_R1

    def smooth(self, rows_RN: Tensor, which_R: Tensor | None) -> Tensor:
        return rows_RN - rows_RN.mean(dim=1, keepdim=True)


build = ZeroMeanBinary
