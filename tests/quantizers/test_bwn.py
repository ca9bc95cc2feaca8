"""BWN: two levels for every row, zeros included, and no closer two-level weights exist."""

from itertools import product

import torch
from drawn import EXACT, GRANULARITIES, matrices
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.precision import Granularity
from bitladder.quantizers.weight import quantize_weight

HALF = 2**-11  # what rounding a number to float16 may change, relatively


@given(matrices(), GRANULARITIES)
def test_every_row_has_exactly_two_levels(weight_OI: Tensor, granularity: Granularity) -> None:
    quantized = quantize_weight(weight_OI, 1, granularity)
    assert torch.equal(quantized.values_OI.abs(), quantized.scale_OG.expand_as(weight_OI))
    assert (quantized.codes_OI.abs() == 1).all()


@given(matrices(), GRANULARITIES)
def test_zero_counts_as_positive(weight_OI: Tensor, granularity: Granularity) -> None:
    codes_OI = quantize_weight(weight_OI, 1, granularity).codes_OI
    assert torch.equal(codes_OI > 0, weight_OI >= 0)


def test_negative_zero_counts_as_positive_too() -> None:
    assert quantize_weight(torch.tensor([[-0.0, 0.0, -1.0]]), 1, "row").codes_OI.tolist() == [[1, 1, -1]]


def test_worked_by_hand() -> None:
    weight_OI = torch.tensor([[0.5, -1.5, 0.0, 2.0], [-3.0, -1.0, 0.0, 0.0]])
    by_row = quantize_weight(weight_OI, 1, "row")
    assert by_row.values_OI.tolist() == [[1, -1, 1, 1], [-1, -1, 1, 1]]
    assert by_row.scale_OG.tolist() == [[1.0], [1.0]]
    assert quantize_weight(weight_OI[:1] * 2, 1, "matrix").values_OI.tolist() == [[2, -2, 2, 2]]


@given(st.lists(EXACT, min_size=1, max_size=5))
def test_no_two_level_weights_are_closer(row: list[float]) -> None:
    weight_I = torch.tensor(row, dtype=torch.float64)
    ours = (quantize_weight(weight_I.unsqueeze(0), 1, "row").values_OI - weight_I).square().sum()
    best = min(_error_of_signs(weight_I, signs) for signs in product([-1.0, 1.0], repeat=len(row)))
    assert ours <= best + len(row) * (weight_I.abs().mean() * HALF) ** 2 + 1e-12


def _error_of_signs(weight_I: Tensor, signs: tuple[float, ...]) -> float:
    """Squared error with these signs and the scale that suits them best, which least squares gives."""
    signs_I = torch.tensor(signs, dtype=torch.float64)
    scale = (weight_I * signs_I).mean()
    return float((scale * signs_I - weight_I).square().sum())
