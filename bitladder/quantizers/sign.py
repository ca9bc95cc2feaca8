"""1 bit without anything learned: the sign (BiBERT, Qin et al., arXiv:2203.06390).

{-1, +1}; for the scores of Bi-Attention {0, 1}, which is the paper's bool. Zero counts as positive, so that
no third level appears. Both pass the gradient where |x| <= 1 and stop it elsewhere.
"""

import torch
from torch import Tensor

from bitladder.quantizers.activation import ActivationQuantizer, Codes
from bitladder.quantizers.rounding import straight_through


def build(bits: int, *, signed: bool, shift_shape: tuple[int, ...] | None) -> "Sign":
    """{-1, +1} for GELU's outputs too, as BiBERT has it: most of them are negative, if barely.

    Raises:
        ValueError: no value is below zero here, so that all of them would get the same code.
    """
    if not signed and shift_shape is None:
        raise ValueError("sign: after a softmax or ReLU nothing is negative, so that every sign is the same")
    return Sign(signed=True)


class Sign(ActivationQuantizer):
    """Two levels, {-1, +1} or {0, 1}, with the threshold at zero."""

    always_alike = True

    def __init__(self, *, signed: bool) -> None:
        super().__init__()
        self.signed = signed
        self.largest = 1

    def forward(self, x: Tensor) -> Tensor:
        return straight_through(x.clamp(-1, 1), self.encode(x).values())

    @torch.no_grad()
    def encode(self, x: Tensor) -> Codes:
        codes = (x >= 0).to(torch.int8)
        return Codes(codes.mul_(2).sub_(1) if self.signed else codes, x.new_ones(()))

    @torch.no_grad()
    def gradients(self, x: Tensor, codes: Codes, gradient: Tensor) -> tuple[Tensor, ...]:
        return (gradient * (x.abs() <= 1),)
