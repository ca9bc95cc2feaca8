"""What holds for every activation quantizer at every place: levels, gradients, what is saved."""

from typing import Any

import numpy as np
import pytest
import torch
from activation_gradients import gradients, upstream_of
from drawn import EXACT, activations
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from bitladder.quantizers.activation import ActivationQuantizer, activation_quantizer
from bitladder.quantizers.names import ACTIVATIONS, serving, usual

LOG_STEPS = st.floats(-80, 80, width=32)
PLACES = {"centred": (True, True), "after GELU": (False, True), "from zero": (False, False)}
Kind = tuple[str, int, str]
# No value is below zero after a softmax or ReLU: nothing to take the sign of.
KINDS: list[Kind] = [
    (name, bits, place)
    for name, named in ACTIVATIONS.items()
    for bits in named.bits
    for place in PLACES
    if (name, place) != ("sign", "from zero")
]
LEARNED = [kind for kind in KINDS if kind[0] in ("lsq", "elastic")]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind)))


def quantizer_of(kind: Kind, channels: int) -> ActivationQuantizer:
    name, bits, place = kind
    signed, has_shift = PLACES[place]
    shape = (channels,) if has_shift else None
    return activation_quantizer(bits, signed=signed, shift_shape=shape, name=name)


def calibrated(kind: Kind, x: Tensor) -> ActivationQuantizer:
    quantizer = quantizer_of(kind, x.shape[-1])
    quantizer.calibrate(x)
    return quantizer.eval()


def at(kind: Kind, x: Tensor) -> Tensor:
    return x.abs() if kind[2] == "from zero" else x


@every_kind
@settings(max_examples=12)
@given(x=activations())
def test_values_are_few_whole_numbers_times_a_step(kind: Kind, x: Tensor) -> None:
    x = at(kind, x)
    quantizer = calibrated(kind, x)
    codes = quantizer.encode(x)
    assert codes.integers.dtype == torch.int8
    assert codes.integers.abs().max() <= quantizer.largest <= 127
    assert codes.integers.unique().numel() <= 2 ** kind[1]
    assert (codes.step > 0).all()
    assert torch.equal(quantizer(x), codes.values())


@every_kind
@settings(max_examples=12)
@given(x=activations())
def test_what_is_rounded_stays_as_it_is(kind: Kind, x: Tensor) -> None:
    x = at(kind, x)
    quantizer = calibrated(kind, x)
    if kind[0] == "elastic" and getattr(quantizer, "shift", None) is not None:
        quantizer.shift.data.zero_()  # what comes out lies around zero, whatever was subtracted
    once = quantizer(x)
    # A step that is its own largest magnitude over 127 comes back rounded; so does a sum with an offset.
    assert torch.allclose(quantizer(once), once, rtol=1e-6, atol=1e-6)


@every_kind
@settings(max_examples=12)
@given(x=activations())
def test_gradients_are_what_autograd_makes_of_the_forward(kind: Kind, x: Tensor) -> None:
    x = at(kind, x)
    quantizer, upstream = calibrated(kind, x), upstream_of(x)
    expected = gradients(quantizer, x, upstream)
    of_x, *of_learned = quantizer.gradients(x, quantizer.encode(x), upstream)
    # 1e-6: autograd multiplies by the step and divides again.
    assert torch.allclose(of_x, expected.pop("x"), rtol=1e-6)
    assert len(of_learned) == len(quantizer.learned()) == len(expected)
    for (name, _), found in zip(quantizer.named_parameters(), of_learned, strict=True):
        # The sums' terms nearly cancel: their rounding is relative to the largest, not to the result.
        tolerance = 1e-5 * float(upstream.abs().sum()) * quantizer.largest * max(1.0, float(x.abs().max()))
        assert torch.allclose(found, expected[name], rtol=1e-4, atol=tolerance), name


@every_kind
def test_all_that_is_needed_is_saved_and_the_input_is_not_touched(kind: Kind) -> None:
    """A peer keeps whether a step was set in an attribute, which no checkpoint has."""
    x = at(kind, torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)))
    first, second, before = calibrated(kind, x), quantizer_of(kind, 3).eval(), x.clone()
    assert second.load_state_dict(first.state_dict()).missing_keys == []
    assert torch.equal(first(x), second(x))
    assert torch.equal(x, before)


@every_kind
def test_what_was_set_from_zeros_gives_zeros_or_nearly(kind: Kind) -> None:
    values = calibrated(kind, torch.zeros(2, 5, 3))(torch.zeros(2, 5, 3))
    assert values.abs().max() <= (1 if kind[0] == "sign" else 1e-5)  # a sign is never zero
    assert values.isfinite().all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[0] in ("lsq", "elastic", "min_max_ema")])
def test_a_step_that_was_never_set_gives_nan(kind: Kind) -> None:
    assert quantizer_of(kind, 3)(at(kind, torch.randn(2, 5, 3))).isnan().all()


@given(arrays(np.float32, (2, 3, 4), elements=EXACT), LOG_STEPS, st.sampled_from(LEARNED))
def test_whatever_the_optimizer_does_the_step_stays_positive(
    x: np.ndarray[Any, Any], log_step: float, kind: Kind
) -> None:
    """The peers learn the step itself, and assert, in vain, that it stays above zero."""
    quantizer = quantizer_of(kind, 4)
    quantizer.log_step.data.fill_(log_step)
    ones = quantizer(torch.full((1, 1, 4), 1e38))
    assert ones.isfinite().all()
    assert (ones > 0).all()
    assert quantizer(torch.from_numpy(x)).isfinite().all()


def test_every_width_has_one_that_is_usual_and_serves_it() -> None:
    assert [usual(ACTIVATIONS, bits) for bits in (1, 2, 4, 8)] == ["elastic", "lsq", "lsq", "per_token"]
    for bits in (1, 2, 4, 8):
        assert usual(ACTIVATIONS, bits) in serving(ACTIVATIONS, bits)
        assert sum(bits in named.default for named in ACTIVATIONS.values()) == 1
    assert not serving(ACTIVATIONS, 3)


def test_the_usual_one_is_what_no_name_gives() -> None:
    for bits in (1, 2, 4, 8):
        unnamed = activation_quantizer(bits, signed=True, shift_shape=(3,))
        named = activation_quantizer(bits, signed=True, shift_shape=(3,), name=usual(ACTIVATIONS, bits))
        assert type(unnamed) is type(named)
