"""Linear and embedding layers that hold codes and scales instead of weights.

They unpack at use, so that the packed bytes are all that stays in memory. The arithmetic is that of the
trained layers in `modeling/layers.py`: the same functions, given the same codes and scales.

Shapes: O output features (entries of a table), I input features, B bytes per row of codes.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.modeling.kernels import product
from pipeline.modeling.layers import QuantizedEmbedding, QuantizedLinear
from pipeline.modeling.linear import multiply
from pipeline.modeling.split import SplitLinear
from pipeline.packing.bits import num_bytes, unpack
from pipeline.quantizers.activation import Codes
from pipeline.quantizers.quantizer import Quantized
from pipeline.quantizers.weight import Layout


class Packed(nn.Module):
    """Codes [O, B] and their scales: [O] by row, [1] by matrix, [O, G] by group. Both are zero until they are
    loaded.

    `stored` are the bits that a code takes in a byte: see packing/bits.py.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, layout: Layout, *, stored: float) -> None:
        super().__init__()
        self.layout, self.bits, self.stored, self.num_columns = layout, layout.bits, stored, layout.num_inputs
        bytes_per_row = num_bytes(layout.num_inputs, stored)
        self.register_buffer("codes", torch.zeros(layout.num_outputs, bytes_per_row, dtype=torch.uint8))
        self.register_buffer("scale", torch.zeros(layout.scale_shape))

    def quantized(self, bytes_OB: Tensor, scale: Tensor) -> Quantized:
        """What these of its codes and scales stand for."""
        codes_OI = unpack(bytes_OB, self.stored, self.num_columns)
        return Quantized(codes_OI, scale.reshape(-1, self.layout.num_groups), self.layout.largest)

    def extra_repr(self) -> str:
        return str(self.layout)


class PackedLinear(Packed):
    """`x @ (codes * scale).T + bias`, the input quantized first where the trained layer did so."""

    def __init__(self, layer: QuantizedLinear, *, stored: float) -> None:
        assert layer.quantizer is not None
        super().__init__(layer.quantizer.layout, stored=stored)
        self.bias = layer.bias
        self.activation = layer.activation
        self.kernels = layer.kernels

    def forward(self, input: Tensor) -> Tensor:
        quantizer = self.activation
        if self.kernels.fused and quantizer is not None:
            return self.multiplied(quantizer.encode(input), largest=quantizer.largest)
        x = input if quantizer is None else quantizer(input)
        return product(x, self.weight().values_OI, self.bias, self.kernels)

    def weight(self) -> Quantized:
        return self.quantized(self.codes, self.scale)

    def multiplied(self, codes: Codes, *, largest: int) -> Tensor:
        """The layer's output for an input that is quantized already."""
        return multiply(codes, self.weight(), self.bias, largest=largest, kernels=self.kernels)


class PackedSplitLinear(nn.Module):
    """The sum of two binary layers on the same quantized input."""

    def __init__(self, layer: SplitLinear) -> None:
        super().__init__()
        self.first, self.second = (PackedLinear(half, stored=1) for half in (layer.first, layer.second))
        self.activation = layer.activation

    def forward(self, input: Tensor) -> Tensor:
        quantizer = self.activation
        if self.first.kernels.fused and quantizer is not None:
            codes = quantizer.encode(input)
            first = self.first.multiplied(codes, largest=quantizer.largest)
            return first + self.second.multiplied(codes, largest=quantizer.largest)
        x = input if quantizer is None else quantizer(input)
        return cast("Tensor", self.first(x) + self.second(x))


class PackedEmbedding(Packed):
    """A table of which only the rows that are looked up are unpacked."""

    def __init__(self, layer: QuantizedEmbedding, *, stored: float) -> None:
        super().__init__(layer.quantizer.layout, stored=stored)

    def forward(self, input: Tensor) -> Tensor:
        entries_E = input.flatten()
        scale = self.scale if self.layout.granularity == "matrix" else self.scale[entries_E]
        values_EI = self.quantized(functional.embedding(entries_E, self.codes), scale).values_OI
        return values_EI.view(*input.shape, -1)
