"""One product of whole numbers by each of the kernels, on arrays in the usual layout.

The encoder does not come by here: it works on blocks of rows and never leaves compiled code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitladder.runtime.kernels import dot_products, lookup, memory_order, popcount
from bitladder.runtime.kernels.memory_order import Laid

Whole = NDArray[np.int32]
_MULTIPLY = {
    1: dot_products.multiply_1,
    2: dot_products.multiply_2,
    4: dot_products.multiply_4,
    8: dot_products.multiply_8,
}


@dataclass(frozen=True)
class Product:
    """`multiply(codes_MI) -> [M, O]`: codes_MI @ weight codes.T, exactly."""

    laid: Laid
    num_outputs: int
    group: int
    compute: Callable[[NDArray[np.int8], Laid], Whole]

    def multiply(self, codes_MI: NDArray[np.int8]) -> Whole:
        return self.compute(padded(codes_MI, 1, self.group), self.laid)[:, : self.num_outputs]


def padded(codes: NDArray[np.int8], lanes: int, group: int) -> NDArray[np.int8]:
    """Zeros added until outputs and inputs are multiples, as a model's always are."""
    return np.pad(codes, ((0, -codes.shape[0] % lanes), (0, -codes.shape[1] % group)))


def stored(codes_OI: memory_order.Codes, lanes: int, group: int) -> NDArray[np.uint8]:
    """Of 1 bit, as a packed file has them."""
    return np.packbits(padded(codes_OI, lanes, group) > 0, axis=-1, bitorder="little")


def by_lookup(codes_OI: memory_order.Codes) -> Product:
    """Weights of 1 bit, activations of up to 8."""
    sides = memory_order.LOOKUP_LANES, memory_order.LOOKUP_GROUP
    return Product(memory_order.for_lookup(stored(codes_OI, *sides)), len(codes_OI), sides[1], _lookup)


def by_dot_products(codes_OI: memory_order.Codes, bits: int) -> Product:
    """Weights and activations of up to 8 bits."""

    def compute(codes_MI: NDArray[np.int8], laid: Laid) -> Whole:
        raised = (codes_MI.astype(np.int16) + memory_order.OFFSET).astype(np.uint8)
        sums = np.empty((len(raised), len(laid.column)), np.int32)
        _MULTIPLY[bits](_at(raised), _at(laid.words), _at(sums), *sums.shape, codes_MI.shape[1])
        if bits == 1:
            return 2 * sums + laid.column - codes_MI.sum(axis=1, dtype=np.int32)[:, None]
        return sums + laid.column

    sides = memory_order.DOT_LANES, memory_order.DOT_GROUP
    laid = memory_order.for_dot_products(padded(codes_OI, *sides), bits)
    return Product(laid, len(codes_OI), sides[1], compute)


def by_popcount(codes_OI: memory_order.Codes, *, signed: bool) -> Product:
    """Weights of 1 bit; activations -1 and +1, or 0 and 1."""

    num_inputs = codes_OI.shape[1]

    def compute(codes_MI: NDArray[np.int8], laid: Laid) -> Whole:
        bits = np.packbits(codes_MI > 0, axis=1, bitorder="little")
        counts = np.empty((len(bits), len(laid.column)), np.int32)
        words = codes_MI.shape[1] // memory_order.COUNT_GROUP
        popcount.count(_at(bits), _at(laid.words), _at(counts), *counts.shape, words, int(signed))
        return (
            num_inputs - 2 * counts if signed else 2 * counts - codes_MI.sum(axis=1, dtype=np.int32)[:, None]
        )

    sides = memory_order.COUNT_LANES, memory_order.COUNT_GROUP
    return Product(memory_order.for_popcount(stored(codes_OI, *sides)), len(codes_OI), sides[1], compute)


def _lookup(codes_MI: NDArray[np.int8], laid: Laid) -> Whole:
    sums = np.empty((len(codes_MI), len(laid.column)), np.int32)
    tables = memory_order.aligned(np.empty(memory_order.CHUNK * 4 * memory_order.TABLES_SIZE, np.uint8))
    lookup.multiply(_at(codes_MI), _at(laid.words), _at(sums), _at(tables), *sums.shape, codes_MI.shape[1])
    return 2 * sums - codes_MI.sum(axis=1, dtype=np.int32)[:, None]


def _at(array: NDArray[Any]) -> int:
    return int(array.ctypes.data)
