"""The engine `torch`: products of whole numbers by torch's int8 product, on codes that are unpacked once.

    y = (codes @ weight_codes.T) * step * scale + bias          codes, weight_codes: int8

The same sums as `modeling/linear.py` takes, exact, then the same operations on them: what comes out is what
the trained rung gives, to the last bit. A weight takes one byte here, beside its bits in the packed tensor:
85 MB for the linears of a BERT-base. It is never a float. Only where a processor's int8 product would be
wrong, or is not known, are codes made floats, at most FLOATS of them at a time, and forgotten.

What torch._int_mm needs, and codes are padded for by zeros, which add nothing:

    CUDA   more than 16 rows; inputs and outputs in whole eights
    CPU    more than one input: of a single column, torch 2.13 mistakes the transpose for a row

What oneDNN makes of it on x86: exact sums where there is VNNI. Without, it adds pairs of products in 16 bits,
of activations that are shifted to 0..255: 2 * 255 * 64 fits there, so sums are exact for weights up to 64,
as at 1, 2 and 4 bits, and saturate at 8 bits.

Weights lie as rows of inputs, [O, I], and are handed over transposed. The other order gains 5 to 10 % where
there is VNNI and many rows, and loses half and more with one row, or without VNNI.

Shapes: M tokens, I input features, O output features; G groups of N neighbouring inputs that share a scale,
one where rows or the matrix share it. P, Q: N and O, padded.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bitladder.modeling.linear import scaled
from bitladder.modeling.routines import Routines
from bitladder.quantizers.activation import Codes
from bitladder.quantizers.weight import Quantized

EIGHT = 8
FEWEST_ROWS = 17  # on CUDA
LARGEST_IN_PAIRS = 64  # 2 * 255 * 64 < 2^15
FLOATS = 2**20  # codes that are floats at a time, 4 MiB


@dataclass(frozen=True)
class Unpacked:
    """Codes of a weight, int8 and padded, and their exact sums for inputs that have an offset.

    Attributes:
        sums_OG: of each row's codes in each group.
        largest: the largest magnitude that a code may have.
    """

    codes_GQP: Tensor
    sums_OG: Tensor
    largest: int

    @property
    def num_bytes(self) -> int:
        """What is held on top of the packed codes: one byte a weight, and a sum for each row and group."""
        return self.codes_GQP.nbytes + self.sums_OG.nbytes


def unpacked(weight: Quantized) -> Unpacked:
    """The weight's codes, laid out for `multiply`."""
    codes_OGN = weight.codes_OI.reshape(len(weight.codes_OI), weight.num_groups, -1)
    num_outputs, _, size = codes_OGN.shape
    padding = (0, -size % EIGHT, 0, -num_outputs % EIGHT)
    codes_GQP = functional.pad(codes_OGN.transpose(0, 1), padding).contiguous()
    return Unpacked(codes_GQP, codes_OGN.sum(dim=2, dtype=torch.int32), weight.largest)


def multiply(
    codes: Codes,
    weight: Unpacked,
    scale_OG: Tensor,
    bias_O: Tensor | None,
    *,
    largest: int,
    routines: Routines,
) -> Tensor:
    """The layer's output [..., O], float32: what `modeling.linear.multiply` gives, to the last bit.

    Args:
        scale_OG: [1, 1] where the matrix has one.
        largest: the largest magnitude of an activation's code.
    """
    integers_MI = codes.integers.flatten(0, -2)
    num_outputs, num_groups = weight.sums_OG.shape
    bound, in_int8 = largest * weight.largest, takes_int8(weight, routines)
    products = (
        exact_product(integers_MN, codes_QP, num_outputs, largest=bound, in_int8=in_int8)
        for integers_MN, codes_QP in zip(integers_MI.chunk(num_groups, dim=1), weight.codes_GQP, strict=True)
    )
    if num_groups == 1:
        y_MO = next(products)
    else:
        y_MO = integers_MI.new_zeros((len(integers_MI), num_outputs), dtype=torch.float32)
        for group, product_MO in enumerate(products):
            y_MO += product_MO.mul_(scale_OG[:, group])
    sums_O = None if codes.offset is None else (weight.sums_OG * scale_OG).sum(dim=1)
    return scaled(y_MO, codes, scale_OG, sums_O, bias_O)


def exact_product(
    integers_MN: Tensor, codes_QP: Tensor, num_outputs: int, *, largest: int, in_int8: bool
) -> Tensor:
    """`integers_MN @ codes_ON.T`, float32 [M, O]: exact sums, rounded once if beyond 2^24.

    Args:
        codes_QP: the O x N codes, padded.
        largest: what no product of two codes exceeds in magnitude.
        in_int8: as `takes_int8` says; else through floats.
    """
    rows, size = integers_MN.shape
    if not in_int8:
        return _through_floats(integers_MN, codes_QP[:num_outputs, :size], largest)
    lacking = max(0, FEWEST_ROWS - rows) if integers_MN.is_cuda else 0
    padding = (0, codes_QP.shape[1] - size, 0, lacking)
    padded_MP = functional.pad(integers_MN, padding) if any(padding) else integers_MN.contiguous()
    return torch._int_mm(padded_MP, codes_QP.t())[:rows, :num_outputs].to(torch.float32)


def takes_int8(weight: Unpacked, routines: Routines) -> bool:
    """Whether torch's int8 product is exact for this weight where it lies, and worth taking."""
    device = weight.codes_GQP.device.type
    if device != "cpu" or routines.vnni:
        return device in ("cpu", "cuda")
    # Processors of other makes say neither AVX2 nor AVX512; what they do with int8 is not known here.
    return weight.largest <= LARGEST_IN_PAIRS and torch.backends.cpu.get_cpu_capability().startswith("AVX")


def _through_floats(integers_MN: Tensor, codes_ON: Tensor, largest: int) -> Tensor:
    """The same in floats that are wide enough for the sum, a few outputs at a time."""
    num_outputs, size = codes_ON.shape
    exact = torch.float32 if size * largest <= 2**24 else torch.float64
    factor_MN, y_MO = (
        integers_MN.to(exact),
        integers_MN.new_empty((len(integers_MN), num_outputs), dtype=torch.float32),
    )
    at_once = max(1, FLOATS // size)
    for first in range(0, num_outputs, at_once):
        outputs = slice(first, first + at_once)
        y_MO[:, outputs] = torch.mm(factor_MN, codes_ON[outputs].to(exact).t())
    return y_MO
