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
from pipeline.modeling.layers import QuantizedEmbedding, QuantizedLinear, largest_code
from pipeline.modeling.linear import CodedWeight, multiply
from pipeline.modeling.split import SplitLinear
from pipeline.packing.bits import num_bytes, unpack
from pipeline.quantizers.activation import Codes
from pipeline.quantizers.quantizer import Granularity


class Packed(nn.Module):
    """Codes [O, B] and their scales, [O] by row or [1] by matrix. Both are zero until they are loaded.

    `bits` are those of a code, `stored` those that it takes in a byte: see packing/bits.py.
    """

    codes: Tensor
    scale: Tensor

    def __init__(
        self, num_rows: int, num_columns: int, *, bits: int, stored: float, granularity: Granularity
    ) -> None:
        super().__init__()
        self.stored = stored
        self.num_rows, self.num_columns, self.bits, self.granularity = (
            num_rows,
            num_columns,
            bits,
            granularity,
        )
        self.register_buffer(
            "codes", torch.zeros(num_rows, num_bytes(num_columns, stored), dtype=torch.uint8)
        )
        self.register_buffer("scale", torch.zeros(num_rows if granularity == "row" else 1))

    def extra_repr(self) -> str:
        return f"{self.num_rows}, {self.num_columns}, bits={self.bits}, granularity={self.granularity!r}"


class PackedLinear(Packed):
    """`x @ (codes * scale).T + bias`, the input quantized first where the trained layer did so."""

    def __init__(self, layer: QuantizedLinear, *, stored: float) -> None:
        rows, columns = layer.out_features, layer.in_features
        super().__init__(rows, columns, bits=layer.bits, stored=stored, granularity=layer.granularity)
        self.bias = layer.bias
        self.activation = layer.activation
        self.kernels = layer.kernels

    def forward(self, input: Tensor) -> Tensor:
        quantizer = self.activation
        if self.kernels.fused and quantizer is not None:
            return self.multiplied(quantizer.encode(input), largest=quantizer.largest)
        x = input if quantizer is None else quantizer(input)
        return product(x, self.weight().values_OI(), self.bias, self.kernels)

    def weight(self) -> CodedWeight:
        codes_OI = unpack(self.codes, self.stored, self.num_columns)
        return CodedWeight(codes_OI, self.scale, largest_code(self.bits))

    def multiplied(self, codes: Codes, *, largest: int) -> Tensor:
        """The layer's output for an input that is quantized already."""
        return multiply(codes, self.weight(), self.bias, largest=largest, kernels=self.kernels)


class PackedSplitLinear(nn.Module):
    """The sum of two binary layers on the same quantized input."""

    def __init__(self, layer: SplitLinear) -> None:
        super().__init__()
        self.first, self.second = (
            PackedLinear(half, stored=half.bits) for half in (layer.first, layer.second)
        )
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
        rows, columns = layer.num_embeddings, layer.embedding_dim
        super().__init__(rows, columns, bits=layer.bits, stored=stored, granularity=layer.granularity)

    def forward(self, input: Tensor) -> Tensor:
        found = functional.embedding(input, self.codes)
        rows = unpack(found, self.stored, self.num_columns, self.scale.dtype)
        return rows * (self.scale if self.granularity == "matrix" else self.scale[input].unsqueeze(-1))
