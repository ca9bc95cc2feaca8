"""Scales of 8 bits: 256 numbers, of which every quantizer takes the nearest."""

import math

import numpy as np
import pytest
import torch
from drawn import ANY, EXACT, is_float16, matrices
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.names import WEIGHTS
from bitladder.quantizers.rounding import decoded, eight_bits
from bitladder.quantizers.scale_codes import LARGEST, SCALES, SMALLEST, encode
from bitladder.quantizers.weight import ScaleLayout, WeightQuantizer, build, quantize_weight

EVERY = [(name, bits) for name, named in WEIGHTS.items() for bits in named.bits]
every_quantizer = pytest.mark.parametrize(("name", "bits"), EVERY)
few = settings(max_examples=20)
OF_LATENTS = st.floats(2**-14, 3.5, width=32)


def made(name: str, bits: int, weight_OI: Tensor) -> WeightQuantizer:
    quantizer = build(name, ScaleLayout(bits, *weight_OI.shape, scale_bits=8))
    quantizer.calibrate(weight_OI)
    quantizer.observe(torch.linspace(0, 2, weight_OI.numel()).view_as(weight_OI).square())
    return quantizer


def test_sixteen_of_them_are_an_octave() -> None:
    assert SCALES[[0, 1, 17, 225, 241]].tolist() == [0, 2**-14, 2**-13, 1, 2]
    assert (2**-14, float(np.float16(2**1.875))) == (SMALLEST, LARGEST)
    assert (np.diff(SCALES) > 0).all()
    assert is_float16(torch.from_numpy(SCALES))
    assert (SCALES[17:] == 2 * SCALES[1:-16]).all()


def test_a_code_is_that_of_its_scale() -> None:
    codes = np.arange(256, dtype=np.uint8)
    assert (encode("a", SCALES) == codes).all()
    assert torch.equal(decoded(torch.from_numpy(codes)), torch.from_numpy(SCALES))


@pytest.mark.parametrize("value", [0.3, 2**-15, 4.0, -1.0, math.nan, math.inf])
def test_a_number_that_has_no_code_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"query.scale: .* is none of the 256 scales"):
        encode("query.scale", np.array([1, value], np.float32))


@given(st.floats(0, 1e4, width=32))
def test_the_nearest_is_taken(value: float) -> None:
    found = float(eight_bits(torch.tensor([value])))
    assert found in SCALES
    assert abs(found - value) == np.abs(SCALES.astype(float) - value).min()


@given(OF_LATENTS)
def test_a_scale_is_off_by_a_little_more_than_two_percent_at_most(value: float) -> None:
    assert float(eight_bits(torch.tensor(value))) == pytest.approx(value, rel=0.0223)


@given(st.floats(0, 3.5, width=32))
def test_upwards_the_next_that_is_no_smaller_is_taken(value: float) -> None:
    assert float(eight_bits(torch.tensor(value), up=True)) == SCALES[np.float32(value) <= SCALES].min()


def test_what_is_scale_already_stays_and_nan_stays_nan() -> None:
    scales = torch.from_numpy(SCALES)
    assert torch.equal(eight_bits(scales), scales)
    assert torch.equal(eight_bits(scales, up=True), scales)
    assert eight_bits(torch.tensor(math.nan)).isnan()


@every_quantizer
@few
@given(weight_OI=matrices(ANY))
def test_every_quantizer_takes_them(name: str, bits: int, weight_OI: Tensor) -> None:
    found = made(name, bits, weight_OI).quantize(weight_OI)
    assert np.isin(found.scale_OG.numpy(), SCALES).all()
    assert found.codes_OI.abs().max() <= found.largest
    assert found.values_OI.isfinite().all()


@every_quantizer
@few
@given(weight_OI=matrices(ANY), data=st.data())
def test_entries_that_are_looked_up_have_those_of_the_whole_table(
    name: str, bits: int, weight_OI: Tensor, data: st.DataObject
) -> None:
    quantizer = made(name, bits, weight_OI)
    entries_E = torch.tensor(data.draw(st.lists(st.integers(0, len(weight_OI) - 1), min_size=1, max_size=5)))
    some = quantizer.quantize(weight_OI[entries_E], entries_E)
    assert torch.equal(some.values_OI, quantizer.quantize(weight_OI).values_OI[entries_E])


@every_quantizer
@few
@given(weight_OI=matrices(EXACT))
def test_gradients_are_finite_and_reach_all_that_is_learned(name: str, bits: int, weight_OI: Tensor) -> None:
    weight_OI.requires_grad_(True)
    quantizer = made(name, bits, weight_OI.detach())
    quantizer(weight_OI).sum().backward()
    gradients = [weight_OI.grad, *(parameter.grad for parameter in quantizer.parameters())]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@given(matrices(st.floats(-3.5, 3.5, width=32, allow_subnormal=False)), st.sampled_from([4, 8]))
def test_min_max_clips_no_weight(weight_OI: Tensor, bits: int) -> None:
    found = quantize_weight(weight_OI, bits, "row", scale_bits=8)
    error_OI = (found.values_OI - weight_OI).abs()
    assert (error_OI <= found.scale_OG / 2 * (1 + 1e-5)).all()


@pytest.mark.parametrize("granularity", ["matrix", "group"])
def test_they_are_for_rows(granularity: str) -> None:
    with pytest.raises(ValueError, match=f"scale_bits: 8 with granularity {granularity}"):
        ScaleLayout(1, 2, 4, granularity, 2 if granularity == "group" else None, 8)  # type: ignore[arg-type]
