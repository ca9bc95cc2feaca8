"""Elastic binarization: levels, gradients against formulas worked out by hand, calibration."""

import math

import pytest
import torch
from activation_gradients import gradients, upstream_of
from drawn import activations, step_of
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.elastic import ElasticBinary

NEAR_ONE = st.floats(-3, 2, width=32)


def elastic(*, signed: bool, log_step: float, shift_C: Tensor | None = None) -> ElasticBinary:
    quantizer = ElasticBinary(signed=signed, shift_shape=None if shift_C is None else tuple(shift_C.shape))
    quantizer.log_step.data.fill_(log_step)
    if quantizer.shift is not None and shift_C is not None:
        quantizer.shift.data.copy_(shift_C)
    return quantizer


@given(activations(), NEAR_ONE)
def test_signed_elastic_has_exactly_two_levels_and_zero_is_positive(x: Tensor, log_step: float) -> None:
    step = step_of(log_step)
    assert torch.equal(elastic(signed=True, log_step=log_step)(x), torch.where(x >= 0, step, -step))


@given(activations(), NEAR_ONE)
def test_unsigned_elastic_is_zero_or_the_step_from_half_a_step_on(x: Tensor, log_step: float) -> None:
    step = step_of(log_step)
    values = elastic(signed=False, log_step=log_step)(x)
    assert torch.equal(values, torch.where(x / step >= 0.5, step, 0))
    assert not elastic(signed=False, log_step=log_step)(torch.zeros_like(x)).any()


@given(activations(), NEAR_ONE, st.integers(0, 2**16))
def test_a_shift_per_channel_moves_the_threshold(x: Tensor, log_step: float, seed: int) -> None:
    shift_C = torch.randn(x.shape[-1], generator=torch.Generator().manual_seed(seed))
    shifted = elastic(signed=True, log_step=log_step, shift_C=shift_C)(x)
    assert torch.equal(shifted, elastic(signed=True, log_step=log_step)(x - shift_C))


@given(activations(), st.booleans(), NEAR_ONE)
def test_the_elastic_gradients_are_the_papers(x: Tensor, signed: bool, log_step: float) -> None:
    """BiT, as its authors' code has it: x between the levels passes; the step of {-1, +1} gets the exact
    derivative, the sign; that of {0, 1}, whose threshold moves with it, gets LSQ's."""
    upstream = upstream_of(x)
    quantizer = elastic(signed=signed, log_step=log_step, shift_C=torch.zeros(x.shape[-1]))
    found = gradients(quantizer, x, upstream)
    step = quantizer.log_step.detach().exp()
    ratio = x / step
    inside = ((ratio >= (-1 if signed else 0)) & (ratio <= 1)).float()
    codes = torch.where(x >= 0, 1.0, -1.0) if signed else (ratio >= 0.5).float()
    towards_step = codes if signed else codes - ratio * inside
    scale = step / math.sqrt(x[0].numel())
    assert torch.allclose(found["x"], upstream * inside, atol=1e-6)
    assert torch.allclose(found["log_step"], scale * (upstream * towards_step).sum(), rtol=1e-4, atol=1e-4)
    assert torch.allclose(found["shift"], -(upstream * inside).sum(dim=(0, 1)), atol=1e-4)


def test_the_signed_step_of_least_squared_error_is_where_its_gradient_vanishes() -> None:
    """So that learning the step does not move it away from where calibration put it."""
    x = torch.randn(4, 50, 8, generator=torch.Generator().manual_seed(0))
    quantizer = ElasticBinary(signed=True, shift_shape=None)
    quantizer.calibrate(x)
    (quantizer(x) - x).square().sum().backward()
    assert float(quantizer.log_step.grad) == pytest.approx(0, abs=1e-3)


@given(activations())
def test_calibration_of_two_levels_is_their_least_squared_error(x: Tensor) -> None:
    signed, unsigned = (ElasticBinary(signed=s, shift_shape=None) for s in (True, False))
    signed.calibrate(x)
    unsigned.calibrate(x.abs())
    assert float(signed.log_step.detach().exp()) == pytest.approx(max(float(x.abs().mean()), 1e-6), rel=1e-4)
    step = unsigned.log_step.detach().exp()
    above = x.abs()[x.abs() >= step / 2]
    if above.numel() and float(above.mean()) > 1e-6:
        # Lloyd's iteration has come to rest, or is one tie away from it.
        assert float(step) == pytest.approx(float(above.mean()), rel=0.2)


def test_calibration_shifts_each_channel_to_its_mean() -> None:
    x = torch.tensor([[[1.0, -4.0], [3.0, -6.0]]])
    quantizer = ElasticBinary(signed=True, shift_shape=(2,))
    quantizer.calibrate(x)
    assert quantizer.shift.tolist() == [2.0, -5.0]
    assert float(quantizer.log_step.detach()) == pytest.approx(0)


def test_a_shift_per_head_and_channel_is_for_every_token() -> None:
    x = torch.arange(24.0).view(1, 2, 3, 4)  # [B, heads, S, D]
    quantizer = ElasticBinary(signed=True, shift_shape=(2, 1, 4))
    quantizer.calibrate(x)
    assert torch.equal(quantizer.shift, x.mean(dim=2, keepdim=True)[0])
