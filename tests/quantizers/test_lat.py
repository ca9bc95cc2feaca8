"""LAT: no threshold and no scale give a smaller weighted error; without a moment, a smaller plain one."""

import pytest
import torch
from drawn import EXACT
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.lat import LossAwareTernary, build
from bitladder.quantizers.precision import Granularity
from bitladder.quantizers.twn import build as build_twn
from bitladder.quantizers.weight import ScaleLayout

MOMENTS = st.integers(0, 64).map(lambda number: number / 16)
pairs = st.lists(st.tuples(EXACT, MOMENTS), min_size=1, max_size=9)


def seen(weight_OI: Tensor, second_moment_OI: Tensor, granularity: Granularity = "row") -> LossAwareTernary:
    quantizer = build(ScaleLayout(2, *weight_OI.shape, granularity))
    quantizer.observe(second_moment_OI)
    return quantizer


def error(weight_I: Tensor, weighting_I: Tensor, values_I: Tensor) -> float:
    return float((weighting_I.double() * (weight_I.double() - values_I.double()).square()).sum())


def best_of_every_threshold(weight_I: Tensor, weighting_I: Tensor) -> float:
    """Zero, or any threshold that tells two weights apart, with the scale that suits its survivors best."""
    errors = [error(weight_I, weighting_I, torch.zeros_like(weight_I))]
    for threshold in {0.0, *weight_I.abs().tolist()}:
        kept_I = (weight_I.abs() > threshold).double() if threshold else (weight_I.abs() >= 0).double()
        mass = (weighting_I.double() * kept_I).sum()
        if mass > 0:
            scale = (weighting_I.double() * kept_I * weight_I.abs()).sum() / mass
            errors.append(error(weight_I, weighting_I, scale * kept_I * weight_I.sign()))
    return min(errors)


@given(pairs)
def test_no_threshold_has_a_smaller_weighted_error(pairs: list[tuple[float, float]]) -> None:
    weight_I, moment_I = torch.tensor(pairs, dtype=torch.float32).t()
    values_I = seen(weight_I[None], moment_I[None]).quantize(weight_I[None]).values_OI[0]
    weighting_I = moment_I.sqrt() + 1e-8
    best = best_of_every_threshold(weight_I, weighting_I)
    # What rounding the scale to half precision may add: 2^-11 of each surviving weight's value.
    rounding = float((weighting_I.double() * (values_I.double() * 2**-10).square()).sum())
    assert error(weight_I, weighting_I, values_I) <= best + rounding + 1e-9


@given(pairs)
def test_it_is_never_worse_than_twn_in_its_own_error(pairs: list[tuple[float, float]]) -> None:
    weight_I, moment_I = torch.tensor(pairs, dtype=torch.float32).t()
    weighting_I = moment_I.sqrt() + 1e-8
    ours = seen(weight_I[None], moment_I[None]).quantize(weight_I[None]).values_OI[0]
    twn = build_twn(ScaleLayout(2, 1, len(pairs))).quantize(weight_I[None]).values_OI[0]
    rounding = float((weighting_I.double() * (ours.double() * 2**-10).square()).sum())
    assert error(weight_I, weighting_I, ours) <= error(weight_I, weighting_I, twn) + rounding + 1e-9


def test_worked_by_hand() -> None:
    """Gains of keeping the largest of 4, 2, 1, weighted 1, 1, 4: 16, 36 / 2, 100 / 6. Two are kept, at 3."""
    weight_OI = torch.tensor([[4.0, 1.0, -2.0]])
    found = seen(weight_OI, torch.tensor([[1.0, 16.0, 1.0]])).quantize(weight_OI)
    assert found.codes_OI.tolist() == [[1, 0, -1]]
    assert found.scale_OG.tolist() == [[3.0]]


def test_a_weight_that_matters_more_decides_the_scale() -> None:
    """The same weights, but the loss feels the smallest most: all three are kept, at nearly its magnitude."""
    weight_OI = torch.tensor([[4.0, 1.0, -2.0]])
    found = seen(weight_OI, torch.tensor([[1.0, 1e6, 1.0]])).quantize(weight_OI)
    assert found.codes_OI.tolist() == [[1, 1, -1]]
    assert found.scale_OG.item() == pytest.approx((4 + 2 + 1000) / 1002, rel=2**-10)


@given(st.lists(EXACT, min_size=1, max_size=9), st.floats(2**-20, 2**20))
def test_only_the_proportions_of_the_moments_matter(row: list[float], factor: float) -> None:
    weight_OI = torch.tensor([row])
    moment_OI = torch.linspace(1, 3, len(row))[None]
    first, second = (seen(weight_OI, moment_OI * f).quantize(weight_OI) for f in (1.0, factor))
    # A tie between two thresholds may fall either way; the error is then the same.
    assert error(weight_OI, moment_OI.sqrt(), first.values_OI) == pytest.approx(
        error(weight_OI, moment_OI.sqrt(), second.values_OI), rel=1e-3, abs=1e-6
    )


def test_before_the_first_step_and_where_no_gradient_was_the_hessian_is_the_identity() -> None:
    torch.manual_seed(0)
    weight_OI = torch.randn(4, 9)
    never = build(ScaleLayout(2, 4, 9)).quantize(weight_OI)
    alike = seen(weight_OI, torch.ones(4, 9)).quantize(weight_OI)
    assert torch.equal(never.values_OI, alike.values_OI)
    moment_OI = torch.rand(4, 9)
    moment_OI[2] = 0
    assert torch.equal(seen(weight_OI, moment_OI).quantize(weight_OI).values_OI[2], never.values_OI[2])


def test_what_was_seen_is_saved_and_gives_the_same_codes() -> None:
    torch.manual_seed(0)
    weight_OI, moment_OI = torch.randn(3, 8), torch.rand(3, 8).square()
    quantizer = seen(weight_OI, moment_OI, "matrix")
    again = build(ScaleLayout(2, 3, 8, "matrix"))
    again.load_state_dict(quantizer.state_dict())
    assert torch.equal(again.quantize(weight_OI).codes_OI, quantizer.quantize(weight_OI).codes_OI)
    other = seen(weight_OI, moment_OI.flip(1), "matrix").quantize(weight_OI)
    assert not torch.equal(again.quantize(weight_OI).values_OI, other.values_OI)


def test_a_row_of_zeros_stays_one() -> None:
    found = seen(torch.zeros(2, 3), torch.rand(2, 3)).quantize(torch.zeros(2, 3))
    assert torch.equal(found.values_OI, torch.zeros(2, 3))
