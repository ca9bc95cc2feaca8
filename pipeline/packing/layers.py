"""Linear and embedding layers that hold codes and scales instead of weights.

They unpack at use, so that the packed bytes are all that stays in memory. The arithmetic is that of the
trained layers in `modeling/layers.py`: the same functions, given the same codes and scales.

Shapes: O output features (entries of a table), I input features, B bytes per row of codes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.modeling.kernels import product
from pipeline.modeling.layers import QuantizedEmbedding, QuantizedLinear, largest_code
from pipeline.modeling.linear import CodedWeight, multiply
from pipeline.packing.bits import num_bytes, unpack
from pipeline.quantizers.quantizer import Granularity


class Packed(nn.Module):
    """Codes [O, B] and their scales, [O] by row or [1] by matrix. Both are zero until they are loaded."""

    codes: Tensor
    scale: Tensor

    def __init__(self, num_rows: int, num_columns: int, *, bits: int, granularity: Granularity) -> None:
        super().__init__()
        self.num_rows, self.num_columns, self.bits, self.granularity = (
            num_rows,
            num_columns,
            bits,
            granularity,
        )
        self.register_buffer("codes", torch.zeros(num_rows, num_bytes(num_columns, bits), dtype=torch.uint8))
        self.register_buffer("scale", torch.zeros(num_rows if granularity == "row" else 1))

    def extra_repr(self) -> str:
        return f"{self.num_rows}, {self.num_columns}, bits={self.bits}, granularity={self.granularity!r}"


class PackedLinear(Packed):
    """`x @ (codes * scale).T + bias`, the input quantized first where the trained layer did so."""

    def __init__(self, layer: QuantizedLinear) -> None:
        super().__init__(
            layer.out_features, layer.in_features, bits=layer.bits, granularity=layer.granularity
        )
        self.bias = layer.bias
        self.activation = layer.activation
        self.kernels = layer.kernels

    def forward(self, input: Tensor) -> Tensor:
        codes_OI = unpack(self.codes, self.bits, self.num_columns)
        weight = CodedWeight(codes_OI, self.scale, largest_code(self.bits))
        quantizer = self.activation
        if self.kernels.fused and quantizer is not None:
            codes = quantizer.encode(input)
            return multiply(codes, weight, self.bias, largest=quantizer.largest, kernels=self.kernels)
        x = input if quantizer is None else quantizer(input)
        return product(x, weight.values_OI(), self.bias, self.kernels)


class PackedEmbedding(Packed):
    """A table of which only the rows that are looked up are unpacked."""

    def __init__(self, layer: QuantizedEmbedding) -> None:
        super().__init__(
            layer.num_embeddings, layer.embedding_dim, bits=layer.bits, granularity=layer.granularity
        )

    def forward(self, input: Tensor) -> Tensor:
        rows = unpack(functional.embedding(input, self.codes), self.bits, self.num_columns, self.scale.dtype)
        return rows * (self.scale if self.granularity == "matrix" else self.scale[input].unsqueeze(-1))
