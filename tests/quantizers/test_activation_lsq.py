"""Learned steps of 2, 4 and 8 bits: levels, gradients against the paper's formulas, calibration."""

import math

import pytest
import torch
from activation_gradients import gradients, upstream_of
from drawn import EXACT, activations, step_of
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.activation_lsq import ActivationLsq, build

NEAR_ONE = st.floats(-3, 2, width=32)
CODES = st.sampled_from(
    [
        (-2, 1, False),
        (0, 3, False),
        (0, 3, True),
        (-7, 7, False),
        (0, 15, False),
        (0, 15, True),
        (-127, 127, False),
    ]
)


def learned_step(
    low: int, high: int, has_offset: bool, *, log_step: float, offset: float = 0
) -> ActivationLsq:
    quantizer = ActivationLsq(low, high, has_offset=has_offset)
    quantizer.log_step.data.fill_(log_step)
    if quantizer.offset is not None:
        quantizer.offset.data.fill_(offset)
    return quantizer


@given(activations(), CODES, NEAR_ONE, EXACT)
def test_the_learned_step_rounds_as_plain_torch_does(
    x: Tensor, codes: tuple[int, int, bool], log_step: float, offset: float
) -> None:
    low, high, has_offset = codes
    offset = offset if has_offset else 0.0
    step = step_of(log_step)
    expected = ((x - offset) / step).round().clamp(low, high) * step + offset
    values = learned_step(low, high, has_offset, log_step=log_step, offset=offset)(x)
    assert torch.equal(values, expected)
    assert values.unique().numel() <= high - low + 1


@given(activations(), CODES, NEAR_ONE, EXACT)
def test_the_learned_steps_gradients_are_the_papers(
    x: Tensor, codes: tuple[int, int, bool], log_step: float, offset: float
) -> None:
    """LSQ: x gets 1 within the range and 0 outside; the step round(v) - v within and a bound outside.

    Times the gradient scale 1 / sqrt(features * highest code), and times the step, whose logarithm is
    learned. An offset (LSQ+) gets what x does not.
    """
    low, high, has_offset = codes
    upstream = upstream_of(x)
    quantizer = learned_step(low, high, has_offset, log_step=log_step, offset=offset)
    found = gradients(quantizer, x, upstream)
    step = quantizer.log_step.detach().exp()
    ratio = (x - (offset if has_offset else 0.0)) / step
    inside = ((ratio >= low) & (ratio <= high)).float()
    towards_step = torch.where(inside.bool(), ratio.round() - ratio, ratio.clamp(low, high))
    scale = step / math.sqrt(x[0].numel() * high)
    # The sums' terms nearly cancel: their rounding is relative to the largest, not to the result.
    tolerance = float(scale * (upstream * high).abs().sum()) * 1e-5
    assert torch.allclose(found["x"], upstream * inside)
    assert torch.allclose(found["log_step"], scale * (upstream * towards_step).sum(), rtol=0, atol=tolerance)
    if has_offset:
        assert torch.allclose(found["offset"], (upstream * (1 - inside)).sum(), atol=1e-4)


@given(activations(), CODES)
def test_calibration_finds_a_step_no_worse_than_the_range_divided_evenly(
    x: Tensor, codes: tuple[int, int, bool]
) -> None:
    low, high, has_offset = codes
    x = x.abs() if low == 0 else x
    quantizer = ActivationLsq(low, high, has_offset=has_offset)
    quantizer.calibrate(x)
    widest = (x - x.min() if has_offset else x).abs().max().clamp(min=1e-6) / high
    even = learned_step(
        low, high, has_offset, log_step=float(widest.log()), offset=float(x.min()) if has_offset else 0
    )
    ours, evens = ((q(x) - x).square().mean() for q in (quantizer, even))
    # 1e-5: a step that goes through its logarithm comes back rounded.
    assert ours <= evens * (1 + 1e-5) + 1e-9 * float(x.square().max())


@pytest.mark.parametrize(
    ("bits", "signed", "codes"),
    [(2, True, (-2, 1)), (2, False, (0, 3)), (4, True, (-7, 7)), (4, False, (0, 15)), (8, True, (-127, 127))],
)
def test_the_codes_of_each_width(bits: int, signed: bool, codes: tuple[int, int]) -> None:
    quantizer = build(bits, signed=signed, shift_shape=(3,))
    assert (quantizer.low, quantizer.high) == codes
    assert (quantizer.offset is not None) == (not signed)


def test_eight_bits_without_a_sign_fit_into_int8() -> None:
    quantizer = build(8, signed=False, shift_shape=None)
    quantizer.calibrate(torch.tensor([[0.0, 1.0]]))
    assert quantizer.encode(torch.tensor([[2.0]])).integers.item() == 127


def test_two_bits_are_not_misled_by_outliers() -> None:
    """Among even fractions of the range none is near the best step, which is far below them."""
    x = torch.randn(64, 8, 64, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0] = 60.0
    quantizer = build(2, signed=True, shift_shape=None)
    quantizer.calibrate(x)
    found, step = quantizer(x).sub(x).square().mean(), quantizer.log_step.detach().clone()
    for away in (-0.4, -0.2, 0.2, 0.4):
        quantizer.log_step.data.copy_(step + away)
        assert found <= quantizer(x).sub(x).square().mean() * 1.02
