"""One product of whole numbers by each of the engines, on arrays in the usual layout.

The machine code is the one that runs models; only what surrounds it is numpy's.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitladder.packed.codes import pack
from bitladder.runtime.kernels import engines, machine_code, memory_order

Whole = NDArray[np.int32]
Codes = NDArray[np.int8]
_SPARE = 16  # rows that a product may read and write after the last
_SCRATCH = 48 * 4096 + (80 << 10)


@dataclass(frozen=True)
class Product:
    """`multiply(codes_MI) -> [M, O]`: codes_MI @ weight codes.T, exactly."""

    num_outputs: int
    group: int
    compute: Callable[[Codes], Whole]

    def multiply(self, codes_MI: Codes) -> Whole:
        return self.compute(padded(codes_MI, 1, self.group))[:, : self.num_outputs]


def padded(codes: Codes, lanes: int, group: int) -> Codes:
    """Zeros added until outputs and inputs are multiples, as a model's always are."""
    return np.pad(codes, ((0, -codes.shape[0] % lanes), (0, -codes.shape[1] % group)))


def stored(codes_OI: Codes, lanes: int, group: int, bits: int = 1) -> NDArray[np.uint8]:
    """As a packed file has them."""
    codes = padded(codes_OI, lanes, group)
    return np.packbits(codes > 0, axis=-1, bitorder="little") if bits == 1 else pack(codes, bits)


def by_engine(name: str, codes_OI: Codes, bits: int) -> Product:
    """Weights and activations of up to 8 bits, by the engine or the one that multiplies such weights for
    it."""
    own = engines.ENGINES[name].for_bits(bits)
    raised = own.raised if bits == 8 else 0
    if own.bits == (1,):
        lanes, group = memory_order.LOOKUP_LANES, 32
        laid = memory_order.for_lookup(stored(codes_OI, lanes, group))
    else:
        # As models have them: outputs and inputs of linear layers are multiples of 64.
        lanes, group = (memory_order.DOT_LANES, 16) if bits == 8 else (32, 64)
        laid = memory_order.for_dot_products(stored(codes_OI, lanes, group, bits), bits, raised)
    outputs = len(codes_OI) + -len(codes_OI) % lanes
    factor, row_factor = memory_order.correction(bits, raised)

    def compute(codes_MI: Codes) -> Whole:
        sums = _multiplied(own.name, bits, codes_MI, laid, outputs, codes_MI.shape[1], own.held)
        return factor * sums + row_factor * codes_MI.sum(axis=1, dtype=np.int32)[:, None]

    return Product(len(codes_OI), group, compute)


def by_popcount(codes_OI: Codes, *, signed: bool) -> Product:
    """Weights of 1 bit; activations -1 and +1, or 0 and 1."""
    lanes, group, num_inputs = memory_order.COUNT_LANES, memory_order.COUNT_GROUP, codes_OI.shape[1]
    laid = memory_order.for_popcount(stored(codes_OI, lanes, group))
    outputs = len(codes_OI) + -len(codes_OI) % lanes

    def compute(codes_MI: Codes) -> Whole:
        bits = np.packbits(codes_MI > 0, axis=1, bitorder="little")
        name = "differing" if signed else "common"
        counts = _multiplied(name, 1, bits, laid, outputs, codes_MI.shape[1], None)
        if signed:
            return num_inputs - 2 * counts
        return 2 * counts - codes_MI.sum(axis=1, dtype=np.int32)[:, None]

    return Product(len(codes_OI), group, compute)


def _multiplied(
    name: str,
    bits: int,
    codes_MI: NDArray[Any],
    laid: NDArray[np.uint8],
    outputs: int,
    inputs: int,
    held: machine_code.Held,
) -> Whole:
    rows = len(codes_MI)
    spare = np.concatenate([codes_MI, np.full((_SPARE, codes_MI.shape[1]), 99, codes_MI.dtype)])
    sums = np.full((rows + _SPARE, outputs), 12345, np.int32)
    scratch = memory_order.aligned(np.empty(_SCRATCH, np.uint8))
    places = (ctypes.c_void_p * 2)()
    arrays = [ctypes.c_ssize_t(array.ctypes.data) for array in (spare, laid, sums, scratch)]
    sizes = [ctypes.c_ssize_t(size) for size in (rows, outputs, inputs)]
    function = ctypes.CFUNCTYPE(ctypes.c_int)(machine_code.product(name, bits, held))
    assert function(ctypes.byref(places, 0), ctypes.byref(places, 8), *arrays, *sizes) == 0
    return sums[:rows]
