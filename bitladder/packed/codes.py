"""Codes of 1, 1.6, 2, 4 or 8 bits as bytes, and back, without torch.

Codes lie in a byte from its lowest bits upwards: code j of a row is in byte j * bits // 8, from bit j *
bits % 8 on. Each row starts on a new byte; bits that are left over in a row's last byte are zero.

    bits   codes          how a code is written
    1      -1, +1         0, 1
    2      -1 .. +1       two's complement; 0b10 (-2) is not used
    4      -7 .. +7       two's complement; 0b1000 (-8) is not used
    8      -127 .. +127   two's complement; 0x80 (-128) is not used
    1.6    -1 .. +1       five in a byte, as the digits 0, 1, 2 of base 3

The first of five digits is the one that counts 1, the next counts 3, and so on up to 81; digits that are left
over are zero, and bytes from 243 on are not used.

Shapes: O rows, I codes per row, B bytes per row. Everything here works on the last
dimension, so any number of dimensions may stand before it.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Codes = NDArray[np.int8]
FIVE_TRITS = 1.6  # bits of a ternary code of which a byte holds five
_ROWS_AT_ONCE = 1024


def num_bytes(num_codes: int, bits: float) -> int:
    """Bytes that a row of codes takes."""
    return -(-num_codes // per_byte(bits))


def per_byte(bits: float) -> int:
    """Codes in a byte."""
    return round(8 / bits)


def pack(codes_OI: Codes, bits: float) -> Bytes:
    """Codes to bytes [O, B].

    Raises:
        ValueError: a code is not one of those that `bits` can write (0 at 1 bit, 8 at 4 bits).
    """
    top = _largest(bits)
    legal = np.abs(codes_OI.astype(np.int16)) <= top
    if bits == 1:
        legal &= codes_OI != 0
    if not legal.all():
        known = "-1 and 1" if bits == 1 else f"{-top} to {top}"
        raise ValueError(f"codes: {codes_OI[~legal][0]} is not a code of {bits} bits; codes are {known}")
    if bits == FIVE_TRITS:
        fields, places = (codes_OI + 1).astype(np.uint8), 3 ** np.arange(5)
    else:
        fields = codes_OI.view(np.uint8) & (2 ** int(bits) - 1) if bits > 1 else (codes_OI > 0).view(np.uint8)
        places = 2 ** np.arange(0, 8, int(bits))
    padding = [(0, 0)] * (codes_OI.ndim - 1) + [(0, -codes_OI.shape[-1] % len(places))]
    padded = np.pad(fields, padding)
    # The fields of a byte do not overlap, so their sum is their union.
    fields_OBC = padded.reshape(*padded.shape[:-1], -1, len(places)) * places.astype(np.uint8)
    return np.asarray(fields_OBC.sum(axis=-1, dtype=np.uint8))


def unpack(bytes_OB: Bytes, bits: float, num_codes: int) -> Codes:
    """The codes [O, I] of bytes that `check` accepts."""
    if bits == 8:
        return bytes_OB.view(np.int8)
    codes_OBC = codes_of_each_byte(bits)[bytes_OB]
    codes_OI: Codes = codes_OBC.reshape(*bytes_OB.shape[:-1], -1)[..., :num_codes]
    return codes_OI


def as_two_bits(bytes_OB: Bytes, num_codes: int) -> Bytes:
    """Of ternary codes, five in a byte: the same with four in a byte, 2 bits each, as kernels read them."""
    found = np.empty((len(bytes_OB), num_bytes(num_codes, 2)), np.uint8)
    for first in range(0, len(bytes_OB), _ROWS_AT_ONCE):  # a whole table of bytes would take four times more
        rows = slice(first, first + _ROWS_AT_ONCE)
        found[rows] = pack(unpack(bytes_OB[rows], FIVE_TRITS, num_codes), 2)
    return found


def check(bytes_OB: Bytes, bits: float, num_codes: int) -> None:
    """Whether `pack` can have written these bytes: nothing in the padding, no code that is not used.

    Raises:
        ValueError: saying which of it is wrong.
    """
    if bytes_OB.dtype != np.uint8 or bytes_OB.shape[-1] != num_bytes(num_codes, bits):
        wanted = f"{num_codes} codes of {bits} bits are uint8 with {num_bytes(num_codes, bits)}"
        raise ValueError(f"{bytes_OB.dtype} with {bytes_OB.shape[-1]} bytes a row; {wanted}")
    in_last = num_codes - per_byte(bits) * (bytes_OB.shape[-1] - 1)
    for part, count in ((bytes_OB, per_byte(bits)), (bytes_OB[..., -1:], in_last)):
        is_written = _are_written(bits, count)
        if not is_written.all() and not is_written[part].all():
            wrong = part[~is_written[part]][0]
            raise ValueError(f"the byte {wrong} occurs, which no {count} codes of {bits} bits are written as")


@cache
def codes_of_each_byte(bits: float) -> Codes:
    """[256, codes in a byte]: what each possible byte means."""
    every_byte = np.arange(256)[:, None]
    if bits == FIVE_TRITS:
        return np.asarray(every_byte // 3 ** np.arange(5) % 3 - 1, np.int8)
    width = int(bits)
    fields = every_byte >> np.arange(0, 8, width) & (2**width - 1)
    codes = 2 * fields - 1 if width == 1 else (fields ^ 2 ** (width - 1)) - 2 ** (width - 1)
    return np.asarray(codes, np.int8)


def _largest(bits: float) -> int:
    """The largest magnitude of a code."""
    return 1 if bits < 2 else 2 ** (int(bits) - 1) - 1


@cache
def _are_written(bits: float, num_codes: int) -> NDArray[np.bool_]:
    """[256]: which bytes stand for so many codes. A byte is looked up: there are only 256."""
    codes, top = codes_of_each_byte(bits)[:, :num_codes], _largest(bits)
    return np.asarray(pack(np.clip(codes, -top, top), bits)[:, 0] == np.arange(256))
