"""Every engine's product of whole numbers is numpy's, for any shape, to the last unit."""

from collections.abc import Callable

import numpy as np
import one_product
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from one_product import Product
from with_kernels import has_kernels

from bitladder.runtime.kernels import engines

pytestmark = has_kernels

Codes = NDArray[np.int8]
SIZES = st.integers(1, 70)
LEVELS = {1: [-1, 1], 2: [-1, 0, 1], 4: range(-7, 8), 8: range(-127, 128)}
WAYS: dict[str, tuple[int, list[int], Callable[[Codes], Product]]] = {
    **{
        f"{name}, {bits} bits": (
            bits,
            [*range(-127, 128)],
            lambda codes, name=name, bits=bits: one_product.by_engine(name, codes, bits),
        )
        for name in engines.running()
        for bits in engines.ENGINES[name].bits
    },
    "popcount, signed": (1, [-1, 1], lambda codes: one_product.by_popcount(codes, signed=True)),
    "popcount, 0 and 1": (1, [0, 1], lambda codes: one_product.by_popcount(codes, signed=False)),
}


@pytest.mark.parametrize("way", WAYS)
@given(num_rows=st.integers(1, 70), num_outputs=SIZES, num_inputs=SIZES, seed=st.integers(0, 2**16))
def test_a_product_is_numpys(way: str, num_rows: int, num_outputs: int, num_inputs: int, seed: int) -> None:
    bits, levels, lay = WAYS[way]
    draw = np.random.default_rng(seed).choice
    weights = draw(LEVELS[bits], (num_outputs, num_inputs)).astype(np.int8)
    activations = draw(levels, (num_rows, num_inputs)).astype(np.int8)
    expected = activations.astype(np.int64) @ weights.astype(np.int64).T
    np.testing.assert_array_equal(lay(weights).multiply(activations), expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("num_inputs", [256, 513, 3072])
def test_the_largest_sums_do_not_overflow(way: str, num_inputs: int) -> None:
    bits, levels, lay = WAYS[way]
    for largest in (min(LEVELS[bits]), max(LEVELS[bits])):
        weights = np.full((33, num_inputs), largest, np.int8)
        for level in (min(levels), max(levels)):
            activations = np.full((5, num_inputs), level, np.int8)
            expected = np.full((5, 33), level * largest * num_inputs)
            np.testing.assert_array_equal(lay(weights).multiply(activations), expected)
