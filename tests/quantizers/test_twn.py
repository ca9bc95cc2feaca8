"""TWN: three levels, the paper's threshold, the scale that suits the survivors best."""

from itertools import product

import pytest
import torch
from drawn import GRANULARITIES, matrices
from hypothesis import given
from torch import Tensor

from bitladder.quantizers.precision import Granularity
from bitladder.quantizers.rounding import half_precision
from bitladder.quantizers.weight import quantize_weight


@given(matrices(), GRANULARITIES)
def test_levels_are_minus_scale_zero_and_scale(weight_OI: Tensor, granularity: Granularity) -> None:
    quantized = quantize_weight(weight_OI, 2, granularity)
    scale_OI = quantized.scale_OG.expand_as(weight_OI)
    magnitude_OI = quantized.values_OI.abs()
    assert torch.equal(magnitude_OI, torch.where(magnitude_OI > 0, scale_OI, 0))


@given(matrices())
def test_what_survives_lies_above_seven_tenths_of_the_mean(weight_OI: Tensor) -> None:
    codes_OI = quantize_weight(weight_OI, 2, "row").codes_OI
    threshold_O1 = 0.7 * weight_OI.abs().mean(dim=1, keepdim=True)
    assert torch.equal(codes_OI != 0, weight_OI.abs() > threshold_O1)


@given(matrices())
def test_the_scale_is_the_mean_magnitude_of_the_survivors(weight_OI: Tensor) -> None:
    quantized = quantize_weight(weight_OI, 2, "row")
    for row_I, codes_I, scale in zip(weight_OI, quantized.codes_OI, quantized.scale_OG, strict=True):
        survivors = row_I[codes_I != 0].abs()
        expected = survivors.double().mean() if survivors.numel() else torch.zeros(())
        # Two roundings: the quotient's in float32, which may tip the one to float16.
        assert float(scale) == pytest.approx(float(expected), rel=2**-10)


def test_worked_by_hand() -> None:
    # Mean magnitude 1.2, threshold 0.84: 2 and -3 survive, their mean is 2.5.
    quantized = quantize_weight(torch.tensor([[2.0, -3.0, 0.5, -0.5, 0.0]]), 2, "row")
    assert quantized.codes_OI.tolist() == [[1, -1, 0, 0, 0]]
    assert quantized.scale_OG.tolist() == [[2.5]]


def test_a_zero_row_beside_another_one_stays_zero() -> None:
    quantized = quantize_weight(torch.tensor([[0.0, 0.0], [1.0, -1.0]]), 2, "row")
    assert quantized.values_OI.tolist() == [[0, 0], [1, -1]]


@pytest.mark.parametrize(
    "row",
    [[1.0, -1.0, 1.0, 0.0], [2.0, -3.0, 0.5, -0.5, 0.0], [1.0, 1.0, 1.0], [0.25, -4.0, 0.0, 3.5, -0.5]],
)
def test_no_three_level_weights_are_closer_in_small_cases(row: list[float]) -> None:
    """The threshold is an approximation; where few weights stand clearly apart it finds the best there is."""
    weight_I = torch.tensor(row)
    ours = float((quantize_weight(weight_I.unsqueeze(0), 2, "row").values_OI - weight_I).square().sum())
    best = min(_error_of_codes(weight_I, codes) for codes in product([-1.0, 0.0, 1.0], repeat=len(row)))
    assert ours == pytest.approx(best, abs=1e-6)


def _error_of_codes(weight_I: Tensor, codes: tuple[float, ...]) -> float:
    codes_I = torch.tensor(codes)
    scale = half_precision((weight_I * codes_I).sum() / codes_I.abs().sum().clamp(min=1))
    return float((scale * codes_I - weight_I).square().sum())
