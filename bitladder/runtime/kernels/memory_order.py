"""Codes of a packed file in the order that a kernel reads them. Made once, when a model is loaded.

Shapes: O outputs, I inputs, B bytes per row of codes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]

# Outputs of a vector, and inputs of what one of its instructions reads.
LOOKUP_LANES, LOOKUP_GROUP = 32, 16
COUNT_LANES, COUNT_GROUP = 8, 64
DOT_LANES, DOT_GROUP = 16, 4
CHUNK, TABLES_SIZE = 16, 4 * 64  # words whose tables lie ready for a look-up, bytes of one row's for one word


def for_lookup(bytes_OB: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 bit, as lookup.py reads it: [O / 32, I / 16, 32] words of 16 inputs.

    Codes as a packed file has them are only moved. O is a multiple of 32, I of 16.
    """
    return _in_words(bytes_OB, np.uint16, LOOKUP_LANES)


def for_popcount(bytes_OB: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As popcount.py reads it: [O / 8, I / 64, 8] words of 64 inputs; O is a multiple of 8, I of 64."""
    return _in_words(bytes_OB, np.uint64, COUNT_LANES)


def _in_words(bytes_OB: NDArray[np.uint8], word: Any, lanes: int) -> NDArray[np.uint8]:
    outputs = len(bytes_OB)
    words = bytes_OB.view(word).reshape(outputs // lanes, lanes, -1).transpose(0, 2, 1)
    return aligned(words)


def for_dot_products(codes_OI: Codes, bits: int, raised: int = 0) -> NDArray[np.uint8]:
    """1 to 8 bits, as expanding.py reads them; O is a multiple of 16, I of 32 (at 8 bits of 4).

    Args:
        raised: is added to codes of 8 bits, for processors that want theirs unsigned.
    """
    outputs, inputs = codes_OI.shape
    groups = 8 // bits
    shape = (outputs // DOT_LANES, DOT_LANES, inputs // DOT_GROUP // groups, groups, DOT_GROUP)
    blocks = _stored(codes_OI, bits, raised).reshape(shape).transpose(0, 2, 3, 1, 4)
    blocks = blocks.reshape(shape[0], shape[2], groups, DOT_LANES * DOT_GROUP)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    return aligned(np.bitwise_or.reduce(blocks << shifts, axis=2))


def _stored(codes_OI: Codes, bits: int, raised: int) -> NDArray[np.uint8]:
    """What is multiplied: 0 and 1 for -1 and +1, else the code more what makes it positive."""
    if bits == 1:
        return (codes_OI > 0).view(np.uint8)
    return (codes_OI + np.int8({2: 1, 4: 8, 8: 0}[bits])).view(np.uint8) + np.uint8(raised)


def correction(bits: int, raised: int = 0) -> tuple[int, int]:
    """What makes of a product with what is stored one with the codes: times the first, plus the second times
    the sum of the row's codes."""
    return {1: (2, -1), 2: (1, -1), 4: (1, -8), 8: (1, -raised)}[bits]


def aligned(array: NDArray[Any], multiple: int = 64) -> NDArray[np.uint8]:
    """A copy of the array's bytes whose address is a multiple: a cache line is not read twice."""
    size = array.nbytes
    room = np.empty(size + multiple, np.uint8)
    first = -room.ctypes.data % multiple
    found = room[first : first + size]
    found[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return found
