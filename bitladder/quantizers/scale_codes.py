"""Scales of 8 bits: each is one of 256 numbers, said by its code.

    code 0          0
    codes 1 .. 255  2^((code - 225) / 16), rounded to half precision: from 2^-14 to 2^1.875

Sixteen in an octave, so that a scale is off by 2.2 % at most. They are the same for every row, whatever the
others are: a row of a table is quantized without looking at those that a batch does not look up. Half
precision has all its digits from 2^-14 on, so that half of a scale is a scale too.

No torch: packed files are read without it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALES = np.append(0, 2.0 ** (np.arange(-224, 31) / 16)).astype(np.float16).astype(np.float32)
SMALLEST, LARGEST = float(SCALES[1]), float(SCALES[-1])  # of the positive ones
# From which on the next scale is the nearer one; exact in float32.
BETWEEN = (SCALES[1:] + SCALES[:-1]) / 2


def encode(name: str, scales: NDArray[Any]) -> NDArray[np.uint8]:
    """The code of each scale. Raises ValueError when a number is none of the 256."""
    codes = np.minimum(np.searchsorted(SCALES, scales), 255).astype(np.uint8)
    if (wrong := scales[SCALES[codes] != scales]).size:
        raise ValueError(f"{name}: {wrong[0].item()!r} is none of the 256 scales that 8 bits can say")
    return codes
