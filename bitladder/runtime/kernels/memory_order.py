"""Codes of a packed file in the order that a kernel reads them. Made once, when a model is loaded.

Shapes: O outputs, I inputs, B bytes per row of codes.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitladder.packed.codes import Codes, codes_of_each_byte

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


def for_dot_products(bytes_OB: NDArray[np.uint8], bits: int, raised: int = 0) -> NDArray[np.uint8]:
    """1 to 8 bits, as expanding.py reads them: [O / 16, I / (32 / bits), 16] words of 4 bytes.

    Args:
        bytes_OB: codes as a packed file has them; O is a multiple of 16, B of 4.
        raised: is added to codes of 8 bits, for processors that want theirs unsigned.
    """
    words_OW = bytes_OB + np.uint8(raised) if bits == 8 else _regrouped(bytes_OB, bits)
    return _in_words(words_OW, np.uint32, DOT_LANES)


def _in_words(bytes_OB: NDArray[Any], word: Any, lanes: int) -> NDArray[np.uint8]:
    outputs = len(bytes_OB)
    words = bytes_OB.view(word).reshape(outputs // lanes, lanes, -1).transpose(0, 2, 1)
    return aligned(words)


def _regrouped(bytes_OB: NDArray[np.uint8], bits: int) -> NDArray[np.uint32]:
    """Each 4 bytes of codes as 4 of what is multiplied: input 4 g + k of a word is field g of byte k."""
    moved, bytes_OW4 = _moved(bits), bytes_OB.reshape(len(bytes_OB), -1, DOT_GROUP)
    words_OW = moved[0][bytes_OW4[..., 0]]
    for place in range(1, DOT_GROUP):
        words_OW |= moved[place][bytes_OW4[..., place]]
    return words_OW


@cache
def _moved(bits: int) -> NDArray[np.uint32]:
    """[4, 256]: where the codes of each possible byte come to lie, for each of a word's 4 places."""
    inputs = np.arange(DOT_GROUP * 8 // bits).reshape(DOT_GROUP, 1, -1)
    shifts = 8 * (inputs % DOT_GROUP) + bits * (inputs // DOT_GROUP)
    stored = _stored(codes_of_each_byte(bits), bits).astype(np.uint32)
    return np.bitwise_or.reduce(stored << shifts.astype(np.uint32), axis=-1)


def _stored(codes: Codes, bits: int) -> NDArray[np.uint8]:
    """What is multiplied: 0 and 1 for -1 and +1, else the code more what makes it positive."""
    if bits == 1:
        return (codes > 0).view(np.uint8)
    return (codes + np.int8({2: 1, 4: 8}[bits])).view(np.uint8) & np.uint8(2**bits - 1)


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
