"""Stored codes without torch: how many bytes a row takes, what the bytes mean, whether packing wrote them.

How codes lie in bytes: bits.py, which packs them.

Shapes: O rows, I codes per row, B bytes per row. Everything here works on the last
dimension, so any number of dimensions may stand before it.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
FIVE_TRITS = 1.6  # bits of a ternary code of which a byte holds five
_ROWS_AT_ONCE = 1024
_LARGEST = 3**5 - 1  # a byte of five ternary digits


def num_bytes(num_codes: int, bits: float) -> int:
    """Bytes that a row of codes takes."""
    return -(-num_codes // per_byte(bits))


def per_byte(bits: float) -> int:
    """Codes in a byte."""
    return round(8 / bits)


def unpack(bytes_OB: Bytes, bits: float, num_codes: int) -> NDArray[np.int8]:
    """The codes [O, I] of bytes that `check` accepts."""
    if bits == 8:
        return bytes_OB.view(np.int8)
    codes_OBC = _codes_of_each_byte(bits)[bytes_OB]
    codes_OI: NDArray[np.int8] = codes_OBC.reshape(*bytes_OB.shape[:-1], -1)[..., :num_codes]
    return codes_OI


def as_two_bits(bytes_OB: Bytes, num_codes: int) -> Bytes:
    """Of ternary codes, five in a byte: the same with four in a byte, 2 bits each, as kernels read them."""
    found = np.empty((len(bytes_OB), num_bytes(num_codes, 2)), np.uint8)
    for first in range(0, len(bytes_OB), _ROWS_AT_ONCE):  # a whole table of bytes would take four times more
        rows = slice(first, first + _ROWS_AT_ONCE)
        found[rows] = _quarters(bytes_OB[rows], num_codes)
    return found


def _quarters(bytes_OB: Bytes, num_codes: int) -> Bytes:
    fields = unpack(bytes_OB, FIVE_TRITS, num_codes).view(np.uint8) & 3
    fields = np.pad(fields, ((0, 0), (0, -num_codes % 4)))
    quarters = fields[:, 0::4] | fields[:, 1::4] << 2 | fields[:, 2::4] << 4 | fields[:, 3::4] << 6
    return np.asarray(quarters, np.uint8)


def check(bytes_OB: Bytes, bits: float, num_codes: int) -> None:
    """Whether packing can have written these bytes: nothing in the padding, no code that is not used.

    Raises:
        ValueError: saying which of it is wrong.
    """
    if bytes_OB.dtype != np.uint8 or bytes_OB.shape[-1] != num_bytes(num_codes, bits):
        wanted = f"{num_codes} codes of {bits} bit are uint8 with {num_bytes(num_codes, bits)}"
        raise ValueError(f"{bytes_OB.dtype} with {bytes_OB.shape[-1]} bytes a row; {wanted}")
    if bits == FIVE_TRITS:
        _check_digits(bytes_OB, num_codes)
        return
    bits = int(bits)
    used_bits = num_codes * bits - 8 * (bytes_OB.shape[-1] - 1)
    if used_bits < 8 and bytes_OB.size and bool((bytes_OB[..., -1] >> used_bits).any()):
        raise ValueError("padding bits are set")
    if bits > 1 and _holds_lowest(bytes_OB, bits):
        raise ValueError(f"the code {-(2 ** (bits - 1))} is there, which {bits} bit do not use")


def _check_digits(bytes_OB: Bytes, num_codes: int) -> None:
    if bytes_OB.size and int(bytes_OB.max()) > _LARGEST:
        raise ValueError(
            f"the byte {bytes_OB.max()} is there, and five ternary digits are at most {_LARGEST}"
        )
    used = num_codes - 5 * (bytes_OB.shape[-1] - 1)
    if bytes_OB.size and bool((bytes_OB[..., -1] >= 3**used).any()):
        raise ValueError("padding digits are set")


def _holds_lowest(bytes_OB: Bytes, bits: int) -> bool:
    """Whether a code is its sign bit alone. A byte that has one is looked up: there are only 256."""
    codes_of_each = unpack(np.arange(256, dtype=np.uint8)[:, None], bits, 8 // bits)
    has_lowest = (codes_of_each == -(2 ** (bits - 1))).any(axis=1)
    return bool(has_lowest[bytes_OB].any())


@cache
def _codes_of_each_byte(bits: float) -> NDArray[np.int8]:
    """[256, codes in a byte]: what each possible byte means."""
    every_byte = np.arange(256)[:, None]
    if bits == FIVE_TRITS:
        return np.asarray(every_byte // 3 ** np.arange(5) % 3 - 1, np.int8)
    width = int(bits)
    fields = every_byte >> np.arange(0, 8, width) & (2**width - 1)
    codes = 2 * fields - 1 if width == 1 else (fields ^ 2 ** (width - 1)) - 2 ** (width - 1)
    return np.asarray(codes, np.int8)
