"""What loops.py calls, as machine code; importing this imports numba. The code is kept on disk.

No fused multiply-add, no reordering: `fastmath` is off, and division is IEEE's.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np

Loop = Callable[..., None]
MAGNITUDE = np.int32(0x7FFFFFFF)  # the bits of a float32 but its sign; magnitudes are in their order


def _compile(loop: Loop) -> Loop:
    return cast("Loop", numba.njit(cache=True, error_model="numpy", nogil=True)(loop))


@_compile
def signs(x: Any, codes: Any) -> None:
    for i in range(len(x)):
        codes[i] = np.int8(1) if x[i] >= np.float32(0) else np.int8(-1)


@_compile
def nearest_per_row(
    x_MI: Any, bits_MI: Any, smallest: float, largest: int, step_M: Any, codes_MI: Any
) -> None:
    top = np.zeros(1, dtype=np.int32)
    for m in range(len(x_MI)):
        highest = np.int32(0)
        for i in range(x_MI.shape[1]):
            highest = max(highest, np.int32(bits_MI[m, i] & MAGNITUDE))
        top[0] = highest
        magnitude = top.view(np.float32)[0]
        if magnitude < np.float32(smallest):  # what is no number stays none
            magnitude = np.float32(smallest)
        step = magnitude / np.float32(largest)
        step_M[m] = step
        for i in range(x_MI.shape[1]):
            codes_MI[m, i] = np.int8(np.int32(np.rint(x_MI[m, i] / step)))


@_compile
def values_in_bfloat16(codes_MI: Any, step_M: Any, found_MI: Any) -> None:
    """To the nearest bfloat16, ties to even: the upper half of a float32, as int16."""
    row = np.empty(codes_MI.shape[1], dtype=np.float32)
    bits = row.view(np.uint32)
    for m in range(len(codes_MI)):
        step = step_M[m]
        for i in range(codes_MI.shape[1]):
            row[i] = np.float32(codes_MI[m, i]) * step
        for i in range(codes_MI.shape[1]):
            own = bits[i]
            rounded = own + np.uint32(0x7FFF) + ((own >> np.uint32(16)) & np.uint32(1))
            found_MI[m, i] = np.int16(np.uint16(np.uint32(rounded) >> np.uint32(16)))


@_compile
def scaled(sums_MO: Any, step_M: Any, scale_O: Any, bias_O: Any, found_MO: Any) -> None:
    for m in range(len(sums_MO)):
        step = step_M[m]
        for o in range(sums_MO.shape[1]):
            found_MO[m, o] = np.float32(sums_MO[m, o]) * step * scale_O[o] + bias_O[o]
