"""Linear and embedding layers that see their weights through a quantizer.

A layer is converted by changing its class in place, so its parameter is still called `weight`: every rung's
checkpoint is an ordinary BERT checkpoint that the next rung can start from. The stored weight is the latent
one, in full precision; what the products use is computed from it at each forward.

Ternary weight splitting (BinaryBERT, arXiv:2012.15701) leaves layers that are the sum of two binary ones:

    linear: y = x W1' + x W2' + bias        table: row = T1[id] + T2[id]

Each of the two has its own latent weights and scale. They cannot be written as one wider binary layer: what
follows is not linear, so the sum has to be taken before it. Parameters are `<layer>.first.weight`,
`<layer>.second.weight` and, of a linear, `<layer>.first.bias`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bitladder.modeling.linear import coded_linear, float_linear
from bitladder.modeling.lookup import Reader, look_up
from bitladder.modeling.routines import Routines, choose
from bitladder.quantizers.activation import ActivationQuantizer
from bitladder.quantizers.gradual import partly
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.weight import Quantized, WeightQuantizer, weight_quantizer


class QuantizedLinear(nn.Linear):
    """A linear layer with, where their quantizers are set, quantized weights and a quantized input.

    Attributes:
        quantizer: of the weight.
        activation: of the input.
    """

    quantizer: WeightQuantizer | None
    activation: ActivationQuantizer | None
    routines: Routines

    @staticmethod
    def convert(
        layer: nn.Linear, *, quantizer: WeightQuantizer | None, activation: ActivationQuantizer | None
    ) -> None:
        """Turn `layer` into a QuantizedLinear, in place."""
        layer.__class__ = QuantizedLinear
        converted = cast("QuantizedLinear", layer)
        converted.quantizer, converted.activation = quantizer, activation
        converted.routines = choose()

    def forward(self, input: Tensor) -> Tensor:
        quantizer, activation = self.quantizer, self.activation
        if self.routines.fused and quantizer is not None and activation is not None:
            activation.show(input)
            return self.coded(input, activation)
        x = input if activation is None else partly(activation, input)
        if not self.routines.fused:
            weight_OI = self.weight if quantizer is None else partly(quantizer, self.weight)
            return functional.linear(x, weight_OI, self.bias)
        values_OI, latent_OI = self.weight.detach(), self.weight
        if quantizer is not None:
            values_OI, latent_OI = quantizer.quantize(self.weight).values_OI, quantizer.receiver(self.weight)
        return float_linear(x, values_OI, self.bias, routines=self.routines, latent_OI=latent_OI)

    def coded(self, x: Tensor, activation: ActivationQuantizer) -> Tensor:
        """The layer's output on whole numbers, of an input that was shown to `activation`."""
        assert self.quantizer is not None
        return coded_linear(
            x,
            self.quantizer.quantize(self.weight),
            self.bias,
            quantizer=activation,
            routines=self.routines,
            latent_OI=self.quantizer.receiver(self.weight),
        )


def share_codes(layers: Iterable[nn.Module]) -> bool:
    """Whether these layers make the same whole numbers of the same input, as by default at 8 bits."""
    return all(
        isinstance(layer, QuantizedLinear)
        and layer.quantizer is not None
        and layer.activation is not None
        and layer.activation.always_alike
        for layer in layers
    )


def joined(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    """The outputs of layers that share their codes, side by side, as one product: [..., sum of O]."""
    linears = [cast("QuantizedLinear", layer) for layer in layers]
    own = [(cast("WeightQuantizer", layer.quantizer), layer.weight) for layer in linears]
    weights = [quantizer.quantize(weight) for quantizer, weight in own]
    scales = [weight.scale_OG.expand(weight.codes_OI.shape[0], -1) for weight in weights]
    codes_OI = torch.cat([weight.codes_OI for weight in weights])
    quantizers = [cast("ActivationQuantizer", layer.activation) for layer in linears]
    for quantizer in quantizers:
        quantizer.show(x)
    return coded_linear(
        x,
        Quantized(codes_OI, torch.cat(scales), max(weight.largest for weight in weights)),
        torch.cat([layer.bias for layer in linears]),
        quantizer=quantizers[0],
        routines=linears[0].routines,
        latent_OI=torch.cat([quantizer.receiver(weight) for quantizer, weight in own]),
    )


class QuantizedEmbedding(nn.Embedding):
    """An embedding table with quantized entries: all of it, or what is looked up if that is less.

    Attributes:
        reader: who trains it by entry; None: it has one gradient, as any parameter.
    """

    quantizer: WeightQuantizer
    reader: Reader | None = None

    @staticmethod
    def convert(layer: nn.Embedding, *, quantizer: WeightQuantizer | None) -> None:
        """Turn `layer` into a QuantizedEmbedding, in place."""
        assert quantizer is not None
        layer.__class__ = QuantizedEmbedding
        cast("QuantizedEmbedding", layer).quantizer = quantizer

    def forward(self, input: Tensor) -> Tensor:
        is_less = self.num_embeddings > input.numel() or self.reader is not None
        if self.quantizer.layout.granularity == "matrix" or not is_less:
            return functional.embedding(input, partly(self.quantizer, self.weight), self.padding_idx)
        looked_up = look_up(input, self.weight, self.padding_idx, self.reader)
        entries_E, rows_EI = input.flatten(), looked_up.flatten(0, -2)
        values_EI = partly(self.quantizer, rows_EI, entries_E)
        if self.quantizer.learns and self.padding_idx is not None:
            # Padding teaches steps as little as it teaches weights.
            is_padding_E1 = (entries_E == self.padding_idx).unsqueeze(1)
            values_EI = torch.where(is_padding_E1, values_EI.detach(), values_EI)
        return values_EI.view_as(looked_up)


class WeightSplitLinear(nn.Module):
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
        if self.activation is not None and self.first.routines.fused:
            self.activation.show(input)
            return self.first.coded(input, self.activation) + self.second.coded(input, self.activation)
        x = input if self.activation is None else partly(self.activation, input)
        return cast("Tensor", self.first(x) + self.second(x))


class WeightSplitEmbedding(nn.Module):
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


def weight_quantizers(model: nn.Module) -> Iterator[tuple[WeightQuantizer, Tensor]]:
    """Every weight quantizer of a model, and the latent weight that it quantizes."""
    for part in model.modules():
        if isinstance(part, QuantizedLinear | QuantizedEmbedding) and part.quantizer is not None:
            yield part.quantizer, part.weight
