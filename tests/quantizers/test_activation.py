"""Activation quantizers: levels, gradients against formulas worked out by hand, steps that stay positive."""

import math

import numpy as np
import pytest
import torch
from drawn import EXACT, activations
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from pipeline.quantizers.activation import ActivationQuantizer, activation_quantizer
from pipeline.quantizers.elastic import ElasticBinary
from pipeline.quantizers.learned_step import LearnedStep
from pipeline.quantizers.per_token import PerToken

LOG_STEPS = st.floats(-80, 80, width=32)
NEAR_ONE = st.floats(-3, 2, width=32)
CODES = st.sampled_from([(-7, 7, False), (0, 15, False), (0, 15, True)])


def learned_step(low: int, high: int, has_offset: bool, *, log_step: float, offset: float = 0) -> LearnedStep:
    quantizer = LearnedStep(low, high, has_offset=has_offset)
    quantizer.log_step.data.fill_(log_step)
    if quantizer.offset is not None:
        quantizer.offset.data.fill_(offset)
    return quantizer


def elastic(*, signed: bool, log_step: float, shift_C: Tensor | None = None) -> ElasticBinary:
    quantizer = ElasticBinary(signed=signed, shift_shape=None if shift_C is None else tuple(shift_C.shape))
    quantizer.log_step.data.fill_(log_step)
    if quantizer.shift is not None and shift_C is not None:
        quantizer.shift.data.copy_(shift_C)
    return quantizer


def gradients(quantizer: ActivationQuantizer, x: Tensor, upstream: Tensor) -> dict[str, Tensor]:
    """Gradients of sum(quantizer(x) * upstream) for x and every parameter, by name."""
    x = x.clone().requires_grad_(True)
    quantizer(x).backward(upstream)
    found = {name: parameter.grad for name, parameter in quantizer.named_parameters()}
    return {name: grad for name, grad in {**found, "x": x.grad}.items() if grad is not None}


def upstream_of(x: Tensor) -> Tensor:
    """A gradient that is different everywhere and of both signs."""
    return torch.linspace(-1.5, 2, x.numel()).view_as(x)


# 8 bits per token


@given(activations())
def test_each_token_has_255_levels_scaled_by_its_own_largest_magnitude(x: Tensor) -> None:
    values = PerToken(8)(x)
    step = x.abs().amax(dim=-1, keepdim=True) / 127
    assert ((values - x).abs() <= step / 2 * (1 + 1e-5)).all()
    codes = values / step.clamp(min=1e-30)
    assert torch.allclose(codes, codes.round(), atol=1e-4)  # float32 has 24 bits, the quotient keeps 17
    assert torch.allclose(values.abs().amax(dim=-1), x.abs().amax(dim=-1), rtol=1e-6)


@given(activations())
def test_a_token_does_not_depend_on_the_others(x: Tensor) -> None:
    tokens = [PerToken(8)(token) for token in x.flatten(0, 1)]
    assert torch.equal(PerToken(8)(x), torch.stack(tokens).view_as(x))


@given(activations())
def test_eight_bits_pass_the_gradient_unchanged_and_learn_nothing(x: Tensor) -> None:
    assert not list(PerToken(8).parameters())
    assert torch.equal(gradients(PerToken(8), x, upstream_of(x))["x"], upstream_of(x))


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-38, 3e38])
def test_eight_bits_are_finite_at_the_ends_of_float32(value: float) -> None:
    assert PerToken(8)(torch.full((2, 3), value)).isfinite().all()


# 4 bits, a learned step


@given(activations(), CODES, NEAR_ONE, EXACT)
def test_the_learned_step_rounds_as_plain_torch_does(
    x: Tensor, codes: tuple[int, int, bool], log_step: float, offset: float
) -> None:
    low, high, has_offset = codes
    offset = offset if has_offset else 0.0
    step = torch.tensor(log_step).exp()
    expected = ((x - offset) / step).round().clamp(low, high) * step + offset
    values = learned_step(low, high, has_offset, log_step=log_step, offset=offset)(x)
    assert torch.equal(values, expected)
    assert values.unique().numel() <= high - low + 1 <= 16


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
    quantizer = LearnedStep(low, high, has_offset=has_offset)
    quantizer.calibrate(x)
    widest = (x - x.min() if has_offset else x).abs().max().clamp(min=1e-6) / high
    even = learned_step(
        low, high, has_offset, log_step=float(widest.log()), offset=float(x.min()) if has_offset else 0
    )
    ours, evens = ((q(x) - x).square().mean() for q in (quantizer, even))
    # 1e-5: a step that goes through its logarithm comes back rounded.
    assert ours <= evens * (1 + 1e-5) + 1e-9 * float(x.square().max())


# 1 bit


@given(activations(), NEAR_ONE)
def test_signed_elastic_has_exactly_two_levels_and_zero_is_positive(x: Tensor, log_step: float) -> None:
    step = torch.tensor(log_step).exp()
    assert torch.equal(elastic(signed=True, log_step=log_step)(x), torch.where(x >= 0, step, -step))


@given(activations(), NEAR_ONE)
def test_unsigned_elastic_is_zero_or_the_step_from_half_a_step_on(x: Tensor, log_step: float) -> None:
    step = torch.tensor(log_step).exp()
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


# steps


@given(
    arrays(np.float32, (2, 3, 4), elements=EXACT),
    LOG_STEPS,
    st.sampled_from([(4, True), (4, False), (1, True), (1, False)]),
)
def test_whatever_the_optimizer_does_the_step_stays_positive(
    x: np.ndarray, log_step: float, kind: tuple[int, bool]
) -> None:
    """The peers learn the step itself, and assert, in vain, that it stays above zero."""
    bits, signed = kind
    quantizer = activation_quantizer(bits, signed=signed, shift_shape=None)
    quantizer.log_step.data.fill_(log_step)
    ones = quantizer(torch.full((1, 1, 1), 1e38))
    assert ones.isfinite().all()
    assert (ones > 0).all()
    assert quantizer(torch.from_numpy(x)).isfinite().all()


@pytest.mark.parametrize(("bits", "signed"), [(4, True), (4, False), (1, True), (1, False)])
def test_a_step_that_was_never_set_gives_nan(bits: int, signed: bool) -> None:
    quantizer = activation_quantizer(bits, signed=signed, shift_shape=(3,))
    assert quantizer(torch.randn(2, 5, 3)).isnan().all()


@pytest.mark.parametrize(("bits", "signed"), [(8, True), (4, True), (4, False), (1, True), (1, False)])
def test_a_step_set_from_zeros_gives_zeros_or_nearly(bits: int, signed: bool) -> None:
    quantizer = activation_quantizer(bits, signed=signed, shift_shape=(3,))
    quantizer.calibrate(torch.zeros(2, 5, 3))
    assert quantizer(torch.zeros(2, 5, 3)).abs().max() <= 1e-5


@pytest.mark.parametrize(("bits", "signed"), [(8, True), (4, True), (4, False), (1, True), (1, False)])
def test_steps_and_shifts_are_saved_and_the_input_is_not_touched(bits: int, signed: bool) -> None:
    first, second = (activation_quantizer(bits, signed=signed, shift_shape=(3,)) for _ in range(2))
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    first.calibrate(x)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))
    assert torch.equal(x, before)
