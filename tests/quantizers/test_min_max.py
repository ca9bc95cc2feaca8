"""Uniform weights: the nearest of 2^b - 1 levels, zero in the middle, the largest magnitude on the edge."""

import pytest
import torch
from drawn import GRANULARITIES, matrices
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.precision import Granularity
from bitladder.quantizers.weight import quantize_weight


@given(matrices(), st.sampled_from([4, 8]), GRANULARITIES)
def test_rounding_moves_a_weight_by_half_a_step_at_most(
    weight_OI: Tensor, bits: int, granularity: Granularity
) -> None:
    quantized = quantize_weight(weight_OI, bits, granularity)
    error_OI = (quantized.values_OI - weight_OI).abs()
    assert (error_OI <= quantized.scale_OG / 2 * (1 + 1e-5)).all()  # 1e-5: the division's own rounding


@given(matrices(), st.sampled_from([4, 8]))
def test_the_largest_magnitude_has_the_outermost_code(weight_OI: Tensor, bits: int) -> None:
    codes_OI = quantize_weight(weight_OI, bits, "row").codes_OI
    top = 2 ** (bits - 1) - 1
    expected_O = torch.where(weight_OI.abs().amax(dim=1) > 0, float(top), 0.0)
    assert torch.equal(codes_OI.abs().amax(dim=1), expected_O)


@given(matrices(), st.sampled_from([4, 8]))
def test_levels_mirror_around_zero(weight_OI: Tensor, bits: int) -> None:
    there, back = quantize_weight(weight_OI, bits, "row"), quantize_weight(-weight_OI, bits, "row")
    assert torch.equal(there.values_OI, -back.values_OI)


@pytest.mark.parametrize(("bits", "expected"), [(4, [7, -4, 0, 2]), (8, [127, -64, 0, 32])])
def test_worked_by_hand(bits: int, expected: list[int]) -> None:
    top = 2 ** (bits - 1) - 1
    # The step is 2; 3.5 steps would be a tie, so the second weight is a little beyond it.
    weight_OI = torch.tensor([[2.0 * top, -(top + 0.1), 0.0, 2.0 * expected[3]]])
    quantized = quantize_weight(weight_OI, bits, "row")
    assert quantized.codes_OI.tolist() == [expected]
    assert quantized.scale_OG.tolist() == [[2.0]]
