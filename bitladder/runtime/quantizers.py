"""The activation quantizers of a packed model, as the kernels' structs say them.

What each does: bitladder/quantizers/per_token.py at 8 bits, activation_lsq.py at 4 and 2, elastic.py at 1.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitladder.packed.reading import Arrays, Floats
from bitladder.runtime.kernels import structs

_LOWEST, _HIGHEST = math.log(2**-24), math.log(65504)  # of a step: half precision's range


@dataclass(frozen=True)
class Rounding:
    """One activation quantizer.

    Attributes:
        kind: structs.PER_TOKEN, STEP or BITS.
        low, high: the smallest and the largest code.
        step: of the codes; 1 where each token has its own.
        signed: of BITS: -1 and +1; else 0 and 1.
        offset: where the lowest level lies.
        shift: of BITS, what is taken off per channel before; None for nothing.
    """

    kind: int
    low: float
    high: float
    step: np.float32 = np.float32(1)  # noqa: RUF009  # a number, and numbers do not change
    signed: bool = True
    offset: np.float32 = np.float32(0)  # noqa: RUF009
    shift: Floats | None = None

    @property
    def is_alike(self) -> bool:
        """Whether two of this kind always make the same codes of the same input."""
        return self.kind == structs.PER_TOKEN

    def fill(self, struct: Any) -> None:
        """The fields that structs.PLACE and QUANTIZER share."""
        struct["quantizer"], struct["step"] = self.kind, self.step
        struct["low"], struct["high"] = self.low, self.high

    def shift_of(self, size: int) -> Floats:
        """Of so many channels."""
        return np.zeros(size, np.float32) if self.shift is None else self.shift


def read(arrays: Arrays, name: str, bits: int, *, signed: bool = True) -> Rounding:
    """The quantizer of that name; at 8 bits the file has nothing of it."""
    if bits == 8:
        return Rounding(structs.PER_TOKEN, -127, 127)
    log_step = np.clip(arrays.floats(f"{name}.log_step"), _LOWEST, _HIGHEST)
    step = np.exp(log_step.astype(np.float64))  # as the trained quantizer has it, to the last bit
    if bits == 1:
        shift = arrays.floats(f"{name}.shift").reshape(-1) if f"{name}.shift" in arrays else None
        return Rounding(structs.BITS, -1 if signed else 0, 1, np.float32(step), signed, shift=shift)
    has_offset = f"{name}.offset" in arrays
    offset = arrays.floats(f"{name}.offset") if has_offset else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    low = 0 if not signed else -2 if bits == 2 else -high
    return Rounding(structs.STEP, low, high, np.float32(step), signed, np.float32(offset))
