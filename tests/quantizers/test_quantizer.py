"""What every weight quantizer promises, whatever its width and its granularity."""

import pytest
import torch
from drawn import ANY, EXACT, GRANULARITIES, is_float16, matrices
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.precision import Granularity
from bitladder.quantizers.weight import quantize_weight

BITS = st.sampled_from([1, 2, 4, 8])
every_quantizer = given(matrices(), BITS, GRANULARITIES)


@every_quantizer
def test_codes_are_whole_numbers_that_fit_into_the_bits(
    weight_OI: Tensor, bits: int, granularity: Granularity
) -> None:
    codes_OI = quantize_weight(weight_OI, bits, granularity).codes_OI
    assert codes_OI.dtype == torch.int8
    assert codes_OI.abs().max() <= max(1, 2 ** (bits - 1) - 1)
    assert codes_OI.unique().numel() <= (2 if bits == 1 else 2**bits - 1)


@given(matrices(st.floats(-(2**-17), 2**-17, width=32)), BITS)
def test_codes_fit_even_where_float16_has_no_such_small_scale(weight_OI: Tensor, bits: int) -> None:
    assert quantize_weight(weight_OI, bits, "row").codes_OI.abs().max() <= max(1, 2 ** (bits - 1) - 1)


@every_quantizer
def test_one_scale_per_row_or_per_matrix_and_exactly_a_float16(
    weight_OI: Tensor, bits: int, granularity: Granularity
) -> None:
    scale = quantize_weight(weight_OI, bits, granularity).scale_OG
    assert scale.shape == ((weight_OI.shape[0], 1) if granularity == "row" else (1, 1))
    assert is_float16(scale)
    assert (scale >= 0).all()


@every_quantizer
def test_values_are_codes_times_scale_in_the_shape_and_type_of_the_weights(
    weight_OI: Tensor, bits: int, granularity: Granularity
) -> None:
    quantized = quantize_weight(weight_OI, bits, granularity)
    assert torch.equal(quantized.values_OI, quantized.codes_OI * quantized.scale_OG)
    assert (quantized.values_OI.shape, quantized.values_OI.dtype) == (weight_OI.shape, weight_OI.dtype)


@every_quantizer
def test_signs_agree_where_the_code_is_not_zero(
    weight_OI: Tensor, bits: int, granularity: Granularity
) -> None:
    codes_OI = quantize_weight(weight_OI, bits, granularity).codes_OI
    kept = (codes_OI != 0) & (weight_OI != 0)
    assert torch.equal(codes_OI[kept].sign(), weight_OI[kept].sign())


@given(matrices(ANY), BITS, GRANULARITIES)
def test_the_weights_stay_as_they_were_and_the_result_is_finite(
    weight_OI: Tensor, bits: int, granularity: Granularity
) -> None:
    before = weight_OI.clone()
    assert quantize_weight(weight_OI, bits, granularity).values_OI.isfinite().all()
    assert torch.equal(weight_OI, before)


@given(matrices(), BITS)
def test_a_matrix_is_one_long_row(weight_OI: Tensor, bits: int) -> None:
    whole = quantize_weight(weight_OI, bits, "matrix").values_OI
    assert torch.equal(whole.reshape(1, -1), quantize_weight(weight_OI.reshape(1, -1), bits, "row").values_OI)


@given(matrices(ANY), BITS)
def test_a_row_does_not_depend_on_the_others(weight_OI: Tensor, bits: int) -> None:
    """So quantizing only the rows that a batch looks up gives what the whole table's file will hold."""
    together = quantize_weight(weight_OI, bits, "row").values_OI
    apart = [quantize_weight(row.unsqueeze(0), bits, "row").values_OI for row in weight_OI]
    assert torch.equal(together, torch.cat(apart))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("granularity", ["row", "matrix"])
def test_zeros_stay_zeros(bits: int, granularity: Granularity) -> None:
    quantized = quantize_weight(torch.zeros(3, 5), bits, granularity)
    assert torch.equal(quantized.values_OI, torch.zeros(3, 5))
    assert torch.equal(quantized.scale_OG, torch.zeros_like(quantized.scale_OG))


@given(matrices(), st.sampled_from([2, 4, 8]), st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_scaling_the_weights_scales_the_result(weight_OI: Tensor, bits: int, factor: float) -> None:
    scaled = quantize_weight(weight_OI * factor, bits, "row")
    plain = quantize_weight(weight_OI, bits, "row")
    normal = (plain.scale_OG * factor >= 2**-14) & (plain.scale_OG >= 2**-14)  # else a float16 loses digits
    expected = torch.where(normal, plain.values_OI * factor, scaled.values_OI)
    assert torch.equal(scaled.values_OI, expected)


@given(matrices(EXACT), BITS, GRANULARITIES)
def test_quantizing_twice_changes_nothing(weight_OI: Tensor, bits: int, granularity: Granularity) -> None:
    """What a rung's child starts from, when it keeps the width, is already on the levels."""
    once = quantize_weight(weight_OI, bits, granularity).values_OI
    assert torch.allclose(quantize_weight(once, bits, granularity).values_OI, once, rtol=2**-10, atol=0)
