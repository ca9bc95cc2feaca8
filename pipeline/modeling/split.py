"""Layers that are the sum of two binary ones, as ternary weight splitting leaves them (BinaryBERT,
arXiv:2012.15701).

    linear: y = x W1' + x W2' + bias        table: row = T1[id] + T2[id]

Each of the two has its own latent weights and scale. They cannot be written as one wider binary layer: what
follows is not linear, so the sum has to be taken before it. Parameters are `<layer>.first.weight`,
`<layer>.second.weight` and, of a linear, `<layer>.first.bias`.
"""

from typing import cast

from torch import Tensor, nn

from pipeline.modeling.layers import QuantizedEmbedding, QuantizedLinear, coded_weight
from pipeline.modeling.linear import coded_linear
from pipeline.quantizers.activation import ActivationQuantizer
from pipeline.quantizers.quantizer import Granularity

BITS = 1


class SplitLinear(nn.Module):
    """Two binary linear layers on the same input, quantized once by the same steps, and their sum."""

    first: QuantizedLinear
    second: QuantizedLinear

    def __init__(
        self, layer: nn.Linear, *, granularity: Granularity, activation: ActivationQuantizer | None
    ) -> None:
        super().__init__()
        other = nn.Linear(layer.in_features, layer.out_features, bias=False)
        for half in (layer, other):
            QuantizedLinear.convert(half, bits=BITS, granularity=granularity, activation=None)
        self.add_module("first", layer)
        self.add_module("second", other)
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        if self.activation is not None and self.first.kernels.fused:
            self.activation.show(input)
            return _coded(self.first, input, self.activation) + _coded(self.second, input, self.activation)
        x = input if self.activation is None else self.activation(input)
        return cast("Tensor", self.first(x) + self.second(x))


class SplitEmbedding(nn.Module):
    """Two binary tables and the sum of what is looked up in them."""

    def __init__(self, layer: nn.Embedding, *, granularity: Granularity) -> None:
        super().__init__()
        other = nn.Embedding(layer.num_embeddings, layer.embedding_dim, layer.padding_idx)
        for half in (layer, other):
            QuantizedEmbedding.convert(half, bits=BITS, granularity=granularity)
        self.first, self.second = layer, other

    def forward(self, input: Tensor) -> Tensor:
        return cast("Tensor", self.first(input) + self.second(input))


def _coded(half: QuantizedLinear, x: Tensor, quantizer: ActivationQuantizer) -> Tensor:
    weight = coded_weight(half.weight, half.bits, half.granularity)
    return coded_linear(
        x, weight, half.bias, quantizer=quantizer, kernels=half.kernels, latent_OI=half.weight
    )
