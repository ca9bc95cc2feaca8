"""Codes of a row of activations are those of a division, correctly rounded."""

from functools import cache
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from with_kernels import has_kernels

pytestmark = has_kernels


@given(seed=st.integers(0, 2**16), size=st.integers(1, 20))
def test_codes_are_those_of_a_division(seed: int, size: int) -> None:
    draw = np.random.default_rng(seed)
    step = np.float32(np.exp(draw.normal() * 3))
    near_a_threshold = (draw.integers(-130, 130, 16 * size) + np.float32(0.5)).astype(np.float32) * step
    row = np.nextafter(near_a_threshold, draw.choice([-1e9, 0, 1e9], 16 * size).astype(np.float32))
    codes = np.empty(16 * size, np.int8)
    total = _quantize()(row.ctypes.data, codes.ctypes.data, 16 * size, step)
    np.testing.assert_array_equal(codes, np.rint(np.clip(row / step, -127, 127)))
    assert total == codes.sum(dtype=np.int64)


@cache
def _quantize() -> Any:
    from bitladder.runtime.kernels.compiling import compiled  # with it, numba
    from bitladder.runtime.kernels.rows import quantize

    def by_division(row, codes, size, step):
        low, high = np.float32(-127), np.float32(127)
        return quantize(row, codes, size, step, np.float32(0), low, high)

    return compiled(by_division)
