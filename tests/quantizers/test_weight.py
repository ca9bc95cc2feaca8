"""What every weight quantizer of `quantizer_names` promises, whatever shares a scale."""

import pytest
import torch
from drawn import ANY, EXACT, GRANULARITIES, is_float16, matrices
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.names import WEIGHTS, serving_or_usual, usual
from bitladder.quantizers.precision import FULL, Granularity, Precision
from bitladder.quantizers.weight import ScaleLayout, WeightQuantizer, build, quantize_weight, weight_quantizer

EVERY = [(name, bits) for name, named in WEIGHTS.items() for bits in named.bits]
every_quantizer = pytest.mark.parametrize(("name", "bits"), EVERY)
few = settings(max_examples=20)  # there are ten quantizers
Sharing = tuple[Granularity, int | None]


def sharings(num_inputs: int) -> list[Sharing]:
    """Every granularity, groups of every size that divides a row."""
    groups = [("group", size) for size in range(1, num_inputs + 1) if num_inputs % size == 0]
    return [("row", None), ("matrix", None), *groups]  # type: ignore[list-item]


def made(name: str, bits: int, weight_OI: Tensor, sharing: Sharing = ("row", None)) -> WeightQuantizer:
    """Calibrated, and with a second moment seen that differs from weight to weight."""
    num_outputs, num_inputs = weight_OI.shape
    quantizer = build(name, ScaleLayout(bits, num_outputs, num_inputs, *sharing))
    quantizer.calibrate(weight_OI)
    quantizer.observe(torch.linspace(0, 2, weight_OI.numel()).view_as(weight_OI).square())
    return quantizer


def draw_sharing(data: st.DataObject, weight_OI: Tensor) -> Sharing:
    return data.draw(st.sampled_from(sharings(weight_OI.shape[1])))


@every_quantizer
@few
@given(weight_OI=matrices(), data=st.data())
def test_codes_fit_into_the_bits_and_scales_are_half_precision_one_for_each_that_shares_it(
    name: str, bits: int, weight_OI: Tensor, data: st.DataObject
) -> None:
    granularity, group_size = draw_sharing(data, weight_OI)
    before = weight_OI.clone()
    found = made(name, bits, weight_OI, (granularity, group_size)).quantize(weight_OI)
    assert torch.equal(weight_OI, before)
    assert found.codes_OI.dtype == torch.int8
    assert found.codes_OI.shape == weight_OI.shape
    assert found.codes_OI.abs().max() <= found.largest == max(1, 2 ** (bits - 1) - 1)
    assert bits > 1 or (found.codes_OI != 0).all()
    rows, columns = weight_OI.shape
    shapes = {"row": (rows, 1), "matrix": (1, 1), "group": (rows, columns // (group_size or 1))}
    assert found.scale_OG.shape == shapes[granularity]
    assert is_float16(found.scale_OG)
    assert (found.scale_OG >= 0).all()


@every_quantizer
@few
@given(weight_OI=matrices(ANY), data=st.data())
def test_values_are_codes_times_the_scale_of_their_group_and_finite(
    name: str, bits: int, weight_OI: Tensor, data: st.DataObject
) -> None:
    found = made(name, bits, weight_OI, draw_sharing(data, weight_OI)).quantize(weight_OI)
    rows, columns = weight_OI.shape
    scale_OI = found.scale_OG.repeat_interleave(columns // found.num_groups, dim=1).expand(rows, columns)
    assert torch.equal(found.values_OI, found.codes_OI * scale_OI)
    assert found.values_OI.isfinite().all()
    assert torch.allclose(found.sums_O, found.values_OI.sum(dim=1), rtol=1e-4, atol=1e-2)


@every_quantizer
@few
@given(weight_OI=matrices(ANY))
def test_one_group_of_the_whole_row_is_the_row(name: str, bits: int, weight_OI: Tensor) -> None:
    whole = made(name, bits, weight_OI, ("group", weight_OI.shape[1])).quantize(weight_OI)
    row = made(name, bits, weight_OI).quantize(weight_OI)
    assert torch.equal(whole.codes_OI, row.codes_OI)
    assert torch.equal(whole.scale_OG, row.scale_OG)


@every_quantizer
@few
@given(weight_OI=matrices(ANY), data=st.data())
def test_groups_are_rows_laid_side_by_side(
    name: str, bits: int, weight_OI: Tensor, data: st.DataObject
) -> None:
    size = data.draw(st.sampled_from([n for n in range(1, 9) if weight_OI.shape[1] % n == 0]))
    grouped = made(name, bits, weight_OI, ("group", size)).quantize(weight_OI)
    rows = made(name, bits, weight_OI.reshape(-1, size)).quantize(weight_OI.reshape(-1, size))
    assert torch.equal(grouped.values_OI, rows.values_OI.reshape(weight_OI.shape))


@every_quantizer
@pytest.mark.parametrize("sharing", [("row", None), ("group", 3)])
@few
@given(weight_OI=matrices(ANY), data=st.data())
def test_entries_that_are_looked_up_are_quantized_as_in_the_whole_table(
    name: str, bits: int, sharing: Sharing, weight_OI: Tensor, data: st.DataObject
) -> None:
    weight_OI = weight_OI.repeat(1, 3)
    quantizer = made(name, bits, weight_OI, sharing)
    entries = data.draw(st.lists(st.integers(0, len(weight_OI) - 1), min_size=1, max_size=5))
    entries_E = torch.tensor(entries)
    some = quantizer.quantize(weight_OI[entries_E], entries_E)
    assert torch.equal(some.values_OI, quantizer.quantize(weight_OI).values_OI[entries_E])


@every_quantizer
@few
@given(weight_OI=matrices(EXACT))
def test_a_gradient_reaches_the_weights_and_everything_that_is_learned(
    name: str, bits: int, weight_OI: Tensor
) -> None:
    weight_OI.requires_grad_(True)
    quantizer = made(name, bits, weight_OI.detach())
    values_OI = quantizer(weight_OI)
    assert torch.equal(values_OI, quantizer.quantize(weight_OI).values_OI)
    values_OI.backward(torch.ones_like(values_OI))
    assert weight_OI.grad is not None
    assert all(parameter.grad is not None for parameter in quantizer.parameters())


@pytest.mark.parametrize("name", ["bwn", "bwn_zero_mean"])
def test_zero_counts_as_positive(name: str) -> None:
    weight_OI = torch.zeros(2, 3)
    assert made(name, 1, weight_OI).quantize(weight_OI).codes_OI.eq(1).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((2, 3, 8, "group", 3), "group_size: 3 does not divide 8 inputs"),
        ((2, 3, 8, "group"), "group_size: None with granularity group"),
        ((2, 3, 8, "row", 4), "group_size: 4 with granularity row"),
    ],
)
def test_groups_that_leave_a_rest_are_refused(arguments: tuple[object, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ScaleLayout(*arguments)  # type: ignore[arg-type]


def test_tables_have_the_named_quantizer_where_it_serves_their_width() -> None:
    assert serving_or_usual(WEIGHTS, None, 2) == "twn"
    named = Precision(2, 8, weight_quantizer="lat")
    assert named.quantizer_of_weights() == "lat"
    assert named.quantizer_of_weights(is_table=True) == "min_max"
    assert Precision(2, 4, weight_quantizer="lsq").quantizer_of_weights(is_table=True) == "lsq"
    assert weight_quantizer(Precision(2, FULL), (3, 4), is_table=True) is None


def test_every_width_has_one_usual_quantizer_and_every_name_a_source_and_a_file_that_exists() -> None:
    for bits in (1, 2, 4, 8):
        assert sum(bits in named.default for named in WEIGHTS.values()) == 1
    for name, named in WEIGHTS.items():
        assert set(named.default) <= set(named.bits)
        assert named.source.startswith("arXiv:")
        for bits in named.bits:
            made = build(name, ScaleLayout(bits, 2, 3))
            assert isinstance(made, WeightQuantizer)
            assert sum(buffer.numel() for buffer in made.buffers()) == named.keeps * 2 * 3


@given(matrices(), st.sampled_from([1, 2, 4, 8]))
def test_a_latent_weight_gets_the_gradient_of_the_quantized_one(latent_OI: Tensor, bits: int) -> None:
    latent_OI.requires_grad_(True)
    gradient_OI = torch.linspace(-3, 3, latent_OI.numel()).view_as(latent_OI)
    output_OI = build(usual(WEIGHTS, bits), ScaleLayout(bits, *latent_OI.shape))(latent_OI)
    output_OI.backward(gradient_OI)
    assert torch.equal(output_OI, quantize_weight(latent_OI.detach(), bits, "row").values_OI)
    assert torch.equal(latent_OI.grad, gradient_OI)


# What is usual at each width keeps nothing, and promises more.
BITS = st.sampled_from([1, 2, 4, 8])


@given(matrices(st.floats(-(2**-17), 2**-17, width=32)), BITS)
def test_codes_fit_even_where_float16_has_no_such_small_scale(weight_OI: Tensor, bits: int) -> None:
    assert quantize_weight(weight_OI, bits, "row").codes_OI.abs().max() <= max(1, 2 ** (bits - 1) - 1)


@given(matrices(), BITS, GRANULARITIES)
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
