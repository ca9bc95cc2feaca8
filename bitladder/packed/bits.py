"""Codes of 1, 1.6, 2, 4 or 8 bits as bytes, and back.

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
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bitladder.packed import codes as stored_codes
from bitladder.packed.codes import FIVE_TRITS
from bitladder.packed.codes import num_bytes as num_bytes

Bits = Literal[1, 2, 4, 8]


def pack(codes_OI: Tensor, bits: float) -> Tensor:
    """Codes of any dtype to uint8 [O, B].

    Raises:
        ValueError: a code is not one of those that `bits` can write (0 at 1 bit, NaN, 1.5, 8 at 4 bits).
    """
    top = 1 if bits == FIVE_TRITS else 2 ** max(int(bits) - 1, 1) - 1
    legal = (codes_OI == codes_OI.round()) & (codes_OI.abs() <= top)
    if bits == 1:
        legal &= codes_OI != 0
    if not bool(legal.all()):
        raise ValueError(
            f"codes: {codes_OI[~legal][0].item()} is no code of {bits} bit; known: {_known(bits)}"
        )
    if bits == FIVE_TRITS:
        return _as_digits(codes_OI)
    bits = int(bits)
    fields_OI = (
        (codes_OI > 0).to(torch.uint8)
        if bits == 1
        else codes_OI.to(torch.int8).view(torch.uint8) & _mask(bits)
    )
    per_byte = 8 // bits
    padded = functional.pad(fields_OI, (0, -codes_OI.shape[-1] % per_byte))
    fields = padded.view(*padded.shape[:-1], -1, per_byte) << _shifts(bits, codes_OI.device)
    # The fields of a byte do not overlap, so their sum is their union.
    return fields.sum(dim=-1, dtype=torch.uint8)


def _as_digits(codes_OI: Tensor) -> Tensor:
    digits_OI = functional.pad((codes_OI + 1).to(torch.uint8), (0, -codes_OI.shape[-1] % 5))
    counts = torch.tensor([1, 3, 9, 27, 81], dtype=torch.uint8, device=codes_OI.device)
    return (digits_OI.view(*digits_OI.shape[:-1], -1, 5) * counts).sum(dim=-1, dtype=torch.uint8)


def unpack(bytes_OB: Tensor, bits: float, num_codes: int, dtype: torch.dtype = torch.int8) -> Tensor:
    """The codes [O, I] of bytes that `check` accepts, in `dtype`."""
    if bits == 8:
        return bytes_OB.view(torch.int8).to(dtype)
    codes_OBC = functional.embedding(bytes_OB.int(), _codes_of_each_byte(bits, dtype).to(bytes_OB.device))
    return codes_OBC.flatten(-2)[..., :num_codes]


def check(bytes_OB: Tensor, bits: float, num_codes: int) -> None:
    """Whether `pack` can have written these bytes: nothing in the padding, no code that is not used.

    Raises:
        ValueError: saying which of it is wrong.
    """
    stored_codes.check(bytes_OB.cpu().numpy(), bits, num_codes)


def _known(bits: float) -> str:
    top = 1 if bits == FIVE_TRITS else 2 ** (int(bits) - 1) - 1
    return "-1, 1" if bits == 1 else f"{-top} to {top}"


def _mask(bits: int) -> int:
    return int(2**bits - 1)


def _shifts(bits: int, device: torch.device) -> Tensor:
    return torch.arange(0, 8, bits, dtype=torch.uint8, device=device)


@cache
def _codes_of_each_byte(bits: float, dtype: torch.dtype) -> Tensor:
    """[256, codes in a byte]: what each possible byte means."""
    every_byte = np.arange(256, dtype=np.uint8)[:, None]
    codes = stored_codes.unpack(every_byte, bits, stored_codes.per_byte(bits))
    return torch.from_numpy(np.ascontiguousarray(codes)).to(dtype)
