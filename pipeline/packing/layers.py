"""Linear and embedding layers that hold codes and scales instead of weights.

They unpack at use, so that the packed bytes are all that stays in memory. The arithmetic is that of the
trained layers in `modeling/layers.py`, operation by operation: codes times scale, then the same product.

Shapes: O output features (entries of a table), I input features, B bytes per row of codes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.modeling.layers import QuantizedEmbedding, QuantizedLinear
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

    def forward(self, input: Tensor) -> Tensor:
        x = input if self.activation is None else self.activation(input)
        weight_OI = unpack(self.codes, self.bits, self.num_columns, x.dtype) * self.scale.unsqueeze(1)
        return functional.linear(x, weight_OI, self.bias)


class PackedEmbedding(Packed):
    """A table of which only the rows that are looked up are unpacked."""

    def __init__(self, layer: QuantizedEmbedding) -> None:
        super().__init__(
            layer.num_embeddings, layer.embedding_dim, bits=layer.bits, granularity=layer.granularity
        )

    def forward(self, input: Tensor) -> Tensor:
        rows = unpack(functional.embedding(input, self.codes), self.bits, self.num_columns, self.scale.dtype)
        return rows * (self.scale if self.granularity == "matrix" else self.scale[input].unsqueeze(-1))
