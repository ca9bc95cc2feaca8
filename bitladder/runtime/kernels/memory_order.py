"""Codes of a packed file in the order that a kernel reads them. Made once, when a model is loaded.

Shapes: O outputs, I inputs, B bytes per row of codes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]

# Outputs of a vector, and inputs of what one of its instructions reads.
LOOKUP_LANES, LOOKUP_GROUP = 32, 16
COUNT_LANES, COUNT_GROUP = 8, 64
DOT_LANES, DOT_GROUP = 16, 4
OFFSET = 128  # added to activations for dot products, which take unsigned bytes
CHUNK, TABLES_SIZE = 16, 4 * 64  # words whose tables lie ready for a look-up, bytes of one row's for one word


@dataclass(frozen=True)
class Laid:
    """Weights as a kernel reads them.

    Attributes:
        words: the bytes, on a multiple of 64.
        column: int32 per output, added to the kernel's sums (for activations with `offset` added).
    """

    words: NDArray[np.uint8]
    column: NDArray[np.int32]


def for_lookup(bytes_OB: NDArray[np.uint8]) -> Laid:
    """1 bit, as lookup.py reads it: [O / 32, I / 16, 32] words of 16 inputs.

    Codes as a packed file has them are only moved. O is a multiple of 32, I of 16.
    """
    return _in_words(bytes_OB, np.uint16, LOOKUP_LANES)


def for_popcount(bytes_OB: NDArray[np.uint8]) -> Laid:
    """As popcount.py reads it: [O / 8, I / 64, 8] words of 64 inputs; O is a multiple of 8, I of 64."""
    return _in_words(bytes_OB, np.uint64, COUNT_LANES)


def _in_words(bytes_OB: NDArray[np.uint8], word: Any, lanes: int) -> Laid:
    outputs = len(bytes_OB)
    words = bytes_OB.view(word).reshape(outputs // lanes, lanes, -1).transpose(0, 2, 1)
    return Laid(aligned(words), np.zeros(outputs, np.int32))


def for_dot_products(codes_OI: Codes, bits: int) -> Laid:
    """1 to 8 bits, as dot_products.py reads them: [O / 16, I / 4] times 64 weights; O and I are multiples."""
    outputs, inputs = codes_OI.shape
    shape = (outputs // DOT_LANES, DOT_LANES, inputs // DOT_GROUP, DOT_GROUP)
    blocks = codes_OI.reshape(shape).transpose(0, 2, 1, 3).reshape(shape[0], shape[2], 64)
    multiplied = (codes_OI > 0) if bits == 1 else codes_OI
    # A product with set bits counts twice when it becomes one with {-1, +1}.
    times = OFFSET * (2 if bits == 1 else 1)
    column = -times * multiplied.sum(axis=1, dtype=np.int32)
    return Laid(aligned(_stored(blocks, bits)), column)


def _stored(blocks: Codes, bits: int) -> NDArray[np.uint8]:
    """Blocks of 64 weights as dot_products.py reads them."""
    if bits <= 2:
        are_set = (blocks > 0,) if bits == 1 else (blocks != 0, blocks < 0)
        return np.concatenate([np.packbits(one, axis=-1, bitorder="little") for one in are_set], axis=-1)
    if bits == 4:
        halves = (blocks + 8).astype(np.uint8)
        return np.asarray(halves[..., :32] | halves[..., 32:] << 4, np.uint8)
    return blocks.view(np.uint8)


def aligned(array: NDArray[Any], multiple: int = 64) -> NDArray[np.uint8]:
    """A copy of the array's bytes whose address is a multiple: a cache line is not read twice."""
    size = array.nbytes
    room = np.empty(size + multiple, np.uint8)
    first = -room.ctypes.data % multiple
    found = room[first : first + size]
    found[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return found
