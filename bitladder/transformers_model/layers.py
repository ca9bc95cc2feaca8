"""Linear and embedding layers that hold codes and scales instead of weights.

The arithmetic is that of the trained layers in `modeling/layers.py`, to the last bit: the same operations on
the same codes and scales. No weight stays in memory as a float. What does:

    linear, quantized input, eval   the packed bytes and, once used, a byte per weight: 85 MB in a BERT-base
    linear, all else                the packed bytes; they are unpacked at use, and forgotten
    embedding                       the packed bytes; only rows that are looked up are unpacked

Shapes: O output features (entries of a table), I input features, B bytes per row of codes.
"""

from collections.abc import Callable
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear
from bitladder.modeling.linear import multiply
from bitladder.modeling.routines import product
from bitladder.packed.codes import codes_of_each_byte, num_bytes
from bitladder.quantizers.activation import ActivationQuantizer
from bitladder.quantizers.rounding import decoded
from bitladder.quantizers.weight import Quantized, ScaleLayout


class Packed(nn.Module):
    """Codes [O, B] and their scales: [O] by row, [1] by matrix, [O, G] by group; scales of 8 bits as
    their codes. Both are zero until they are loaded.

    `stored` are the bits that a code takes in a byte: see packed/codes.py.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, layout: ScaleLayout, *, stored: float) -> None:
        super().__init__()
        self.layout, self.stored = layout, stored
        bytes_per_row = num_bytes(layout.num_inputs, stored)
        self.register_buffer("codes", torch.zeros(layout.num_outputs, bytes_per_row, dtype=torch.uint8))
        kind = torch.uint8 if layout.scale_bits == 8 else torch.float32
        self.register_buffer("scale", torch.zeros(layout.scale_shape, dtype=kind))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        require_float32(fn)
        return cast("Any", super())._apply(fn, recurse)

    def quantized(self, bytes_OB: Tensor, scale: Tensor) -> Quantized:
        """What these of its codes and scales stand for."""
        codes_OI = unpack(bytes_OB, self.stored, self.layout.num_inputs)
        scale = decoded(scale) if self.layout.scale_bits == 8 else scale
        return Quantized(codes_OI, scale.reshape(-1, self.layout.num_groups), self.layout.largest)


class PackedLinear(Packed):
    """`x @ (codes * scale).T + bias`, the input quantized first where the trained layer did so."""

    def __init__(self, layer: QuantizedLinear, *, stored: float) -> None:
        assert layer.quantizer is not None
        super().__init__(layer.quantizer.layout, stored=stored)
        self.bias = layer.bias
        self.activation = layer.activation
        self.routines = layer.routines
        self._kept: tuple[Tensor, Tensor, int, Quantized] | None = None  # codes, scales, the codes' version

    def forward(self, input: Tensor) -> Tensor:
        quantizer = self.activation
        if self.routines.fused and quantizer is not None:
            return self.coded(input, quantizer)
        x = input if quantizer is None else quantizer(input)
        return product(x, self.weight().values_OI, self.bias, self.routines)

    def coded(self, x: Tensor, activation: ActivationQuantizer) -> Tensor:
        """The layer's output on whole numbers, of an input that `activation` rounds."""
        weight = self.weight() if self.training else self.unpacked()
        codes, largest = activation.encode(x), activation.largest
        return multiply(codes, weight, self.bias, largest=largest, routines=self.routines)

    def weight(self) -> Quantized:
        return self.quantized(self.codes, self.scale)

    def unpacked(self) -> Quantized:
        """The codes as int8, kept until they are exchanged or written to."""
        codes, scale, kept = self.codes, self.scale, self._kept
        # Made in inference mode it does not count how often it was written to. A trace holds what it sees:
        # with codes that were unpacked before it would differ from one without.
        if codes.is_inference() or cast("Any", torch.jit).is_tracing():
            return self.weight()
        if kept is None or kept[0] is not codes or kept[1] is not scale or kept[2] != codes._version:
            kept = self._kept = (codes, scale, codes._version, self.weight())
        return kept[3]

    def train(self, mode: bool = True) -> Self:
        """In training codes are unpacked at use; nothing is kept."""
        if mode:
            self._kept = None
        return super().train(mode)


class PackedEmbedding(Packed):
    """A table of which only the rows that are looked up are unpacked."""

    def __init__(self, layer: QuantizedEmbedding, *, stored: float) -> None:
        super().__init__(layer.quantizer.layout, stored=stored)

    def forward(self, input: Tensor) -> Tensor:
        entries_E = input.flatten()
        scale = self.scale if self.layout.granularity == "matrix" else self.scale[entries_E]
        values_EI = self.quantized(functional.embedding(entries_E, self.codes), scale).values_OI
        return values_EI.view(*input.shape, -1)


def require_float32(fn: Callable[[Tensor], Tensor]) -> None:
    """Raises ValueError when what a module's `_apply` is given turns floats into another dtype."""
    made = fn(torch.zeros(1, dtype=torch.float32)).dtype
    if made != torch.float32:
        raise ValueError(
            f"{str(made).removeprefix('torch.')}: a packed model computes in float32, the numbers it was "
            "scored with; its weights take few bits already (.to(device) moves it)"
        )


def unpack(bytes_OB: Tensor, bits: float, num_codes: int) -> Tensor:
    """The codes [O, I], int8, as `packed.codes.unpack`, on any device."""
    if bits == 8:
        return bytes_OB.view(torch.int8)
    each_byte = torch.from_numpy(codes_of_each_byte(bits))
    codes_OBC = functional.embedding(bytes_OB.int(), each_byte.to(bytes_OB.device))
    return codes_OBC.flatten(-2)[..., :num_codes]
