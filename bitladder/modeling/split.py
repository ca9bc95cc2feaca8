"""Layers that are the sum of two binary ones, as ternary weight splitting leaves them (BinaryBERT,
arXiv:2012.15701).

    linear: y = x W1' + x W2' + bias        table: row = T1[id] + T2[id]

Each of the two has its own latent weights and scale. They cannot be written as one wider binary layer: what
follows is not linear, so the sum has to be taken before it. Parameters are `<layer>.first.weight`,
`<layer>.second.weight` and, of a linear, `<layer>.first.bias`.
"""

from typing import cast

from torch import Tensor, nn

from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear, coded
from bitladder.quantizers.activation import ActivationQuantizer
from bitladder.quantizers.choose import weight_quantizer
from bitladder.quantizers.precision import Precision


class SplitLinear(nn.Module):
    """Two binary linear layers on the same input, quantized once by the same steps, and their sum."""

    first: QuantizedLinear
    second: QuantizedLinear

    def __init__(
        self, layer: nn.Linear, *, precision: Precision, activation: ActivationQuantizer | None
    ) -> None:
        super().__init__()
        other = nn.Linear(layer.in_features, layer.out_features, bias=False)
        for half in (layer, other):
            quantizer = weight_quantizer(precision, (layer.out_features, layer.in_features))
            QuantizedLinear.convert(half, quantizer=quantizer, activation=None)
        self.add_module("first", layer)
        self.add_module("second", other)
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        if self.activation is not None and self.first.kernels.fused:
            self.activation.show(input)
            return coded(self.first, input, self.activation) + coded(self.second, input, self.activation)
        x = input if self.activation is None else self.activation(input)
        return cast("Tensor", self.first(x) + self.second(x))


class SplitEmbedding(nn.Module):
    """Two binary tables and the sum of what is looked up in them."""

    def __init__(self, layer: nn.Embedding, *, precision: Precision) -> None:
        super().__init__()
        other = nn.Embedding(layer.num_embeddings, layer.embedding_dim, layer.padding_idx)
        for half in (layer, other):
            shape = (layer.num_embeddings, layer.embedding_dim)
            QuantizedEmbedding.convert(half, quantizer=weight_quantizer(precision, shape, is_table=True))
        self.first, self.second = layer, other

    def forward(self, input: Tensor) -> Tensor:
        return cast("Tensor", self.first(input) + self.second(input))
