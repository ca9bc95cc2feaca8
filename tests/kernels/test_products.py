"""Every way to multiply whole numbers gives what numpy gives, for any shape, to the last unit."""

from collections.abc import Callable

import numpy as np
import one_product
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from one_product import Product

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.rows import quantize

Codes = NDArray[np.int8]
SIZES = st.integers(1, 70)
LEVELS = {1: [-1, 1], 2: [-1, 0, 1], 4: range(-7, 8), 8: range(-127, 128)}
WAYS: dict[str, tuple[int, list[int], Callable[[Codes], Product]]] = {
    "look-up": (1, [*range(-127, 128)], one_product.by_lookup),
    **{
        f"dot products, {bits} bits": (
            bits,
            [*range(-127, 128)],
            lambda codes, bits=bits: one_product.by_dot_products(codes, bits),
        )
        for bits in (1, 2, 4, 8)
    },
    "popcount, signed": (1, [-1, 1], lambda codes: one_product.by_popcount(codes, signed=True)),
    "popcount, 0 and 1": (1, [0, 1], lambda codes: one_product.by_popcount(codes, signed=False)),
}


@pytest.mark.parametrize("way", WAYS)
@given(num_rows=st.integers(1, 13), num_outputs=SIZES, num_inputs=SIZES, seed=st.integers(0, 2**16))
def test_a_product_is_numpys(way: str, num_rows: int, num_outputs: int, num_inputs: int, seed: int) -> None:
    bits, levels, lay = WAYS[way]
    draw = np.random.default_rng(seed).choice
    weights = draw(LEVELS[bits], (num_outputs, num_inputs)).astype(np.int8)
    activations = draw(levels, (num_rows, num_inputs)).astype(np.int8)
    expected = activations.astype(np.int64) @ weights.astype(np.int64).T
    np.testing.assert_array_equal(lay(weights).multiply(activations), expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("num_inputs", [256, 257, 3072])
def test_the_largest_sums_do_not_overflow(way: str, num_inputs: int) -> None:
    bits, levels, lay = WAYS[way]
    weights = np.full((33, num_inputs), max(LEVELS[bits]), np.int8)
    for level in (min(levels), max(levels)):
        activations = np.full((5, num_inputs), level, np.int8)
        expected = np.full((5, 33), level * max(LEVELS[bits]) * num_inputs)
        np.testing.assert_array_equal(lay(weights).multiply(activations), expected)


@given(seed=st.integers(0, 2**16), size=st.integers(1, 20))
def test_codes_are_those_of_a_division(seed: int, size: int) -> None:
    draw = np.random.default_rng(seed)
    step = np.float32(np.exp(draw.normal() * 3))
    near_a_threshold = (draw.integers(-130, 130, 16 * size) + np.float32(0.5)).astype(np.float32) * step
    row = np.nextafter(near_a_threshold, draw.choice([-1e9, 0, 1e9], 16 * size).astype(np.float32))
    codes = np.empty(16 * size, np.int8)
    total = _quantize(row.ctypes.data, codes.ctypes.data, 16 * size, step)
    np.testing.assert_array_equal(codes, np.rint(np.clip(row / step, -127, 127)))
    assert total == codes.sum(dtype=np.int64)


@compiled
def _quantize(row, codes, size, step):
    low, high = np.float32(-127), np.float32(127)
    return quantize(row, codes, size, step, np.float32(0), low, high, 0)
