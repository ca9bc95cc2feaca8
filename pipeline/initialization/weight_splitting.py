"""Ternary weight splitting: one ternary matrix becomes two binary ones with exactly the same sum.

BinaryBERT (Bai et al., ACL 2021, arXiv:2012.15701, section 3.2) splits the latent weights of a ternary net,
w = u + v, so that BWN of u plus BWN of v is TWN of w. A weight that survives ternarization is shared out,
u = a w and v = (1 - a) w: the signs agree and the two scales add. A weight that became zero is torn apart by
b > 0, u = b + max(w, 0) and v = -b - max(-w, 0): the signs differ and the two scales cancel. Scales that
cancel are equal, and those that add make the ternary one, so each is half of it:

    mean|u| = mean|v| = s/2     with s the ternary scale, n weights, Z of them zero, S the sum of magnitudes

    a = (S_survivors + S_zero,w<0 - S_zero,w>=0) / (2 S_survivors)
    b = (n s - S) / (2 Z)

b is positive, for s is the mean of the larger magnitudes alone. a lies between 0 and 1 unless nearly all that
became zero has one sign; such a row is torn apart in another way: which half gets the larger magnitude takes
turns, from weight to weight in order of size (ours). Scales are rounded here, so that s is the rounded one; u
and v are stretched, by less than one part in 1000 (23, where scales have 8 bits), until their means are half
of it.

Shapes: R rows of N weights that share a scale: rows of the matrix, groups within them, or the matrix as one.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from bitladder.modeling.share import TABLES
from bitladder.quantizers.precision import Granularity
from bitladder.quantizers.weight import quantize_weight

HALVED = (*TABLES, "query", "key", "value", "dense")
_SMALLEST_SHARE = 0.1  # of a survivor that either half keeps


def split_weight(
    weight_OI: Tensor, granularity: Granularity, group_size: int | None = None, scale_bits: int = 16
) -> tuple[Tensor, Tensor]:
    """Latent weights of the two binary matrices, [O, I] each; their sum is `weight_OI`, nearly.

    BWN of u plus BWN of v is TWN of `weight_OI` exactly, as long as half of the scale is a half-precision
    number (or has a code of 8 bits), which it is from 2^-13 on.
    """
    ternary = quantize_weight(weight_OI, 2, granularity, group_size=group_size, scale_bits=scale_bits)
    scale_R1 = ternary.scale_OG.reshape(-1, 1)
    rows_RN = weight_OI.reshape(len(scale_R1), -1)
    zero_RN = (ternary.codes_OI == 0).view_as(rows_RN)
    first_RN, second_RN = _split_rows(rows_RN.double(), zero_RN, scale_R1.double() / 2)
    return first_RN.to(weight_OI.dtype).view_as(weight_OI), second_RN.to(weight_OI.dtype).view_as(weight_OI)


def _split_rows(w_RN: Tensor, zero_RN: Tensor, half_R1: Tensor) -> tuple[Tensor, Tensor]:
    """In double precision: sums of thousands of weights are told apart from their small differences."""
    extra_RN = torch.where(w_RN >= 0, zero_RN, False)  # where the first half gets the larger magnitude
    share_R1 = _share(w_RN, zero_RN, extra_RN)
    unbalanced_R1 = (share_R1 - 0.5).abs() > 0.5 - _SMALLEST_SHARE
    if bool(unbalanced_R1.any()):
        extra_RN = torch.where(unbalanced_R1, _every_other(w_RN, zero_RN), extra_RN)
        share_R1 = _share(w_RN, zero_RN, extra_RN)
    gap_R1 = _gap(w_RN, zero_RN)
    magnitude_RN = w_RN.abs()
    # The larger magnitude has the weight's own sign, so that the two add up to it.
    sign_RN = torch.where(w_RN < 0, -1.0, 1.0).to(w_RN.dtype)
    first_RN = sign_RN * torch.where(extra_RN, gap_R1 + magnitude_RN, -gap_R1)
    second_RN = sign_RN * torch.where(extra_RN, -gap_R1, gap_R1 + magnitude_RN)
    first_RN = torch.where(zero_RN, first_RN, share_R1 * w_RN)
    second_RN = torch.where(zero_RN, second_RN, (1 - share_R1) * w_RN)
    return _stretched(first_RN, half_R1), _stretched(second_RN, half_R1)


def _share(w_RN: Tensor, zero_RN: Tensor, extra_RN: Tensor) -> Tensor:
    """a: the share of the survivors that the first half gets, so that both have the same mean magnitude."""
    magnitude_RN = w_RN.abs()
    survivors_R1 = (magnitude_RN * ~zero_RN).sum(dim=1, keepdim=True)
    first_R1 = (magnitude_RN * extra_RN).sum(dim=1, keepdim=True)
    second_R1 = (magnitude_RN * (zero_RN & ~extra_RN)).sum(dim=1, keepdim=True)
    return ((survivors_R1 + second_R1 - first_R1) / (2 * survivors_R1)).nan_to_num(0.5)


def _gap(w_RN: Tensor, zero_RN: Tensor) -> Tensor:
    """b: how far a weight that became zero is torn apart; 0 in a row without one, where it is not used."""
    magnitude_RN = w_RN.abs()
    num_zero_R1 = zero_RN.sum(dim=1, keepdim=True)
    num_survivors_R1 = (w_RN.shape[1] - num_zero_R1).clamp(min=1)
    scale_R1 = (magnitude_RN * ~zero_RN).sum(dim=1, keepdim=True) / num_survivors_R1
    missing_R1 = w_RN.shape[1] * scale_R1 - magnitude_RN.sum(dim=1, keepdim=True)
    return missing_R1 / (2 * num_zero_R1.clamp(min=1))


def _every_other(w_RN: Tensor, zero_RN: Tensor) -> Tensor:
    """Every second zero in order of magnitude: the sums of both sides differ by less than one weight."""
    order_RN = torch.where(zero_RN, w_RN.abs(), torch.inf).argsort(dim=1, stable=True)
    turns_N = torch.arange(w_RN.shape[1], device=w_RN.device) % 2 == 0
    chosen_RN = torch.zeros_like(zero_RN).scatter(1, order_RN, turns_N.expand_as(zero_RN))
    return chosen_RN & zero_RN


def _stretched(part_RN: Tensor, mean_R1: Tensor) -> Tensor:
    """Scaled so that the mean magnitude of each row is exactly `mean_R1`."""
    own_R1 = part_RN.abs().mean(dim=1, keepdim=True)
    return part_RN * (mean_R1 / own_R1).nan_to_num(0.0)


def split_weights(
    state: Mapping[str, Tensor],
    granularity: Granularity,
    group_size: int | None = None,
    scale_bits: int = 16,
) -> dict[str, Tensor]:
    """The latent tensors of a ternary model under the names of one whose weights are split.

    Matrices and tables become `<layer>.first.weight` and `<layer>.second.weight`; a linear's bias goes whole
    to `<layer>.first.bias` (BinaryBERT halves it); head, LayerNorms and activation steps stay as they are.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        has_halves = layer.startswith("bert.") and layer.rpartition(".")[2] in HALVED
        if kind not in ("weight", "bias") or not has_halves:
            found[name] = tensor
        elif kind == "weight":
            found[f"{layer}.first.weight"], found[f"{layer}.second.weight"] = split_weight(
                tensor, granularity, group_size, scale_bits
            )
        else:
            found[f"{layer}.first.{kind}"] = tensor
    return found
