"""Codes of 1, 2, 4 or 8 bits as bytes, and back.

Codes lie in a byte from its lowest bits upwards: code j of a row is in byte j * bits // 8, from bit j *
bits % 8 on. Each row starts on a new byte; bits that are left over in a row's last byte are zero.

    bits   codes          how a code is written
    1      -1, +1         0, 1
    2      -1 .. +1       two's complement; 0b10 (-2) is not used
    4      -7 .. +7       two's complement; 0b1000 (-8) is not used
    8      -127 .. +127   two's complement; 0x80 (-128) is not used

Shapes: O rows, I codes per row, B = ceil(I * bits / 8) bytes per row. Everything here works on the last
dimension, so any number of dimensions may stand before it.
"""

from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.packing import stored_codes
from pipeline.packing.stored_codes import num_bytes as num_bytes

Bits = Literal[1, 2, 4, 8]


def pack(codes_OI: Tensor, bits: int) -> Tensor:
    """Codes of any dtype to uint8 [O, B].

    Raises:
        ValueError: a code is not one of those that `bits` can write (0 at 1 bit, NaN, 1.5, 8 at 4 bits).
    """
    top = 2 ** max(bits - 1, 1) - 1
    legal = (codes_OI == codes_OI.round()) & (codes_OI.abs() <= top)
    if bits == 1:
        legal &= codes_OI != 0
    if not bool(legal.all()):
        raise ValueError(
            f"codes: {codes_OI[~legal][0].item()} is no code of {bits} bit; known: {_known(bits)}"
        )
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


def unpack(bytes_OB: Tensor, bits: int, num_codes: int, dtype: torch.dtype = torch.int8) -> Tensor:
    """The codes [O, I] of bytes that `check` accepts, in `dtype`."""
    if bits == 8:
        return bytes_OB.view(torch.int8).to(dtype)
    codes_OBC = functional.embedding(bytes_OB.int(), _codes_of_each_byte(bits, dtype).to(bytes_OB.device))
    return codes_OBC.flatten(-2)[..., :num_codes]


def check(bytes_OB: Tensor, bits: int, num_codes: int) -> None:
    """Whether `pack` can have written these bytes: nothing in the padding, no code that is not used.

    Raises:
        ValueError: saying which of it is wrong.
    """
    stored_codes.check(bytes_OB.cpu().numpy(), bits, num_codes)


def _known(bits: int) -> str:
    return "-1, 1" if bits == 1 else f"{1 - 2 ** (bits - 1)} to {2 ** (bits - 1) - 1}"


def _mask(bits: int) -> int:
    return int(2**bits - 1)


def _shifts(bits: int, device: torch.device) -> Tensor:
    return torch.arange(0, 8, bits, dtype=torch.uint8, device=device)


@cache
def _codes_of_each_byte(bits: int, dtype: torch.dtype) -> Tensor:
    """[256, 8 / bits]: what each possible byte means."""
    every_byte = torch.arange(256).unsqueeze(1)
    fields = every_byte >> torch.arange(0, 8, bits) & _mask(bits)
    codes = 2 * fields - 1 if bits == 1 else (fields ^ 2 ** (bits - 1)) - 2 ** (bits - 1)
    return codes.to(dtype)
