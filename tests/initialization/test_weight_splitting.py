"""Ternary weight splitting: two binary matrices whose sum is the ternary one, exactly."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor

from bitladder.quantizers.precision import Granularity
from bitladder.quantizers.weight import quantize_weight
from pipeline.initialization.weight_splitting import split_weight

GRANULARITIES = st.sampled_from(["row", "matrix"])
# From 2^-13 on half of a scale is a half-precision number. Zeros, ties and signs of one kind are drawn often.
MAGNITUDES = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(2**-10, 8, width=32))


def matrices() -> st.SearchStrategy[Tensor]:
    values = st.builds(lambda sign, size: sign * size, st.sampled_from([-1.0, 1.0]), MAGNITUDES)
    shapes = array_shapes(min_dims=2, max_dims=2, max_side=12)
    return shapes.flatmap(lambda shape: arrays("float32", shape, elements=values)).map(torch.from_numpy)


def lopsided() -> Tensor:
    """A row whose zeros all have one sign and outweigh its survivor: the paper's a would be -0.4."""
    return torch.tensor([[0.65] * 9 + [3.3]])


def ternary(weight: Tensor, granularity: Granularity) -> Tensor:
    return quantize_weight(weight, 2, granularity).values_OI


@given(matrices(), GRANULARITIES)
@example(torch.zeros(2, 3), "row")
@example(torch.tensor([[1.0]]), "row")
@example(lopsided(), "row")
@example(-lopsided(), "matrix")
def test_the_two_binary_matrices_add_up_to_the_ternary_one_exactly(
    weight: Tensor, granularity: Granularity
) -> None:
    first, second = (
        quantize_weight(half, 1, granularity).values_OI for half in split_weight(weight, granularity)
    )
    assert torch.equal(first + second, ternary(weight, granularity))


@given(matrices())
@example(torch.zeros(2, 3))
@example(lopsided())
def test_so_they_do_with_scales_of_8_bits(weight: Tensor) -> None:
    halves = split_weight(weight, "row", scale_bits=8)
    first, second = (quantize_weight(half, 1, "row", scale_bits=8).values_OI for half in halves)
    assert torch.equal(first + second, quantize_weight(weight, 2, "row", scale_bits=8).values_OI)


@given(matrices(), GRANULARITIES)
def test_both_scales_are_half_of_the_ternary_one(weight: Tensor, granularity: Granularity) -> None:
    expected = quantize_weight(weight, 2, granularity).scale_OG / 2
    for half in split_weight(weight, granularity):
        assert torch.equal(quantize_weight(half, 1, granularity).scale_OG, expected)


@given(matrices(), GRANULARITIES)
@example(lopsided(), "row")
def test_signs_agree_where_the_ternary_weight_is_not_zero_and_differ_where_it_is(
    weight: Tensor, granularity: Granularity
) -> None:
    first, second = split_weight(weight, granularity)
    quantized = quantize_weight(weight, 2, granularity)
    alive = (quantized.scale_OG > 0).expand_as(weight)
    agree = (first < 0) == (second < 0)
    assert torch.equal(agree[alive], (quantized.codes_OI != 0)[alive])


@given(matrices(), GRANULARITIES)
@example(lopsided(), "row")
def test_the_latent_halves_add_up_to_the_latent_weight_but_for_the_scales_rounding(
    weight: Tensor, granularity: Granularity
) -> None:
    first, second = split_weight(weight, granularity)
    assert (first + second - weight).abs().max() <= 2**-10 * weight.abs().max()


def test_worked_by_hand() -> None:
    """Mean magnitude 1, threshold 0.7: 2 and -1.5 survive, s = 1.75. S = 4, n s = 7, Z = 2: b = 0.75.
    a = (3.5 + 0.25 - 0.25) / 7 = 0.5."""
    first, second = split_weight(torch.tensor([[2.0, -1.5, 0.25, -0.25]]), "row")
    assert first.tolist() == [[1.0, -0.75, 1.0, 0.75]]
    assert second.tolist() == [[1.0, -0.75, -0.75, -1.0]]


def test_the_shares_of_survivors_differ_where_the_zeros_lean_to_one_sign() -> None:
    """Mean magnitude 0.9375: 2 and -1.25 survive, s = 1.625; S = 3.75, n s = 6.5, Z = 2: b = 0.6875.
    a = (3.25 - 0.5) / 6.5 = 11/26 of a survivor for the first half, which has the 0.25s of the zeros."""
    weight = torch.tensor([[2.0, -1.25, 0.25, 0.25]])
    first, second = split_weight(weight, "row")
    assert torch.allclose(first, torch.tensor([[22 / 26, -13.75 / 26, 0.9375, 0.9375]]))
    assert torch.allclose(second, torch.tensor([[30 / 26, -18.75 / 26, -0.6875, -0.6875]]))


def test_a_row_of_zeros_stays_one() -> None:
    assert all(torch.equal(half, torch.zeros(2, 3)) for half in split_weight(torch.zeros(2, 3), "row"))


def test_a_matrix_of_berts_size_splits_exactly_with_either_scale() -> None:
    torch.manual_seed(0)
    weight = torch.randn(384, 768) * 0.03
    weight[:, ::7] += 0.02  # no symmetry of signs
    for granularity in ("row", "matrix"):
        first, second = (
            quantize_weight(half, 1, granularity).values_OI for half in split_weight(weight, granularity)
        )
        assert torch.equal(first + second, ternary(weight, granularity))


@pytest.mark.parametrize("size", [2**-15, 2**-24, 2**-30])
def test_below_half_precisions_normal_range_the_sum_is_off_by_less_than_its_smallest_number(
    size: float,
) -> None:
    torch.manual_seed(0)
    weight = torch.randn(8, 16) * size
    first, second = (quantize_weight(half, 1, "row").values_OI for half in split_weight(weight, "row"))
    assert (first + second - ternary(weight, "row")).abs().max() <= 2**-24


def test_the_weight_itself_is_left_as_it_was() -> None:
    weight = torch.randn(3, 5)
    before = weight.clone()
    split_weight(weight, "matrix")
    assert torch.equal(weight, before)


@given(matrices(), st.integers(1, 3))
def test_groups_are_split_as_rows_of_their_own(weight: Tensor, groups: int) -> None:
    size, weight = weight.shape[1], weight.repeat(1, groups)
    first, second = (
        quantize_weight(half, 1, "group", group_size=size).values_OI
        for half in split_weight(weight, "group", size)
    )
    assert torch.equal(first + second, quantize_weight(weight, 2, "group", group_size=size).values_OI)
