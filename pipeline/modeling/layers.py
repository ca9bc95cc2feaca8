"""Linear and embedding layers that see their weights through a quantizer.

A layer is converted by changing its class in place, so its parameter is still called `weight`: every rung's
checkpoint is an ordinary BERT checkpoint that the next rung can start from. The stored weight is the latent
one, in full precision; what the products use is computed from it at each forward.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.quantizers.activation import ActivationQuantizer
from pipeline.quantizers.choose import FULL, quantize_weight
from pipeline.quantizers.quantizer import Granularity
from pipeline.quantizers.straight_through import straight_through


def quantized_weight(latent_OI: Tensor, bits: int, granularity: Granularity) -> Tensor:
    """The weight as the products see it; gradients reach the latent weight unchanged."""
    if bits == FULL:
        return latent_OI
    with torch.no_grad():
        values_OI = quantize_weight(latent_OI, bits, granularity).values_OI
    return straight_through(latent_OI, values_OI)


class QuantizedLinear(nn.Linear):
    """A linear layer with quantized weights and, where `activation` is set, a quantized input."""

    bits: int
    granularity: Granularity
    activation: ActivationQuantizer | None

    @staticmethod
    def convert(
        layer: nn.Linear, *, bits: int, granularity: Granularity, activation: ActivationQuantizer | None
    ) -> None:
        """Turn `layer` into a QuantizedLinear, in place."""
        layer.__class__ = QuantizedLinear
        converted = cast("QuantizedLinear", layer)
        converted.bits, converted.granularity = bits, granularity
        converted.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        x = input if self.activation is None else self.activation(input)
        return functional.linear(x, quantized_weight(self.weight, self.bits, self.granularity), self.bias)


class QuantizedEmbedding(nn.Embedding):
    """An embedding table with quantized entries. With a scale per row, only rows looked up are quantized."""

    bits: int
    granularity: Granularity

    @staticmethod
    def convert(layer: nn.Embedding, *, bits: int, granularity: Granularity) -> None:
        """Turn `layer` into a QuantizedEmbedding, in place."""
        layer.__class__ = QuantizedEmbedding
        converted = cast("QuantizedEmbedding", layer)
        converted.bits, converted.granularity = bits, granularity

    def forward(self, input: Tensor) -> Tensor:
        if self.granularity == "matrix":
            table = quantized_weight(self.weight, self.bits, self.granularity)
            return functional.embedding(input, table, self.padding_idx)
        rows = functional.embedding(input, self.weight, self.padding_idx)
        return quantized_weight(rows.flatten(0, -2), self.bits, self.granularity).view_as(rows)
