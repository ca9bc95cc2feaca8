"""Linear and embedding layers that see their weights through a quantizer.

A layer is converted by changing its class in place, so its parameter is still called `weight`: every rung's
checkpoint is an ordinary BERT checkpoint that the next rung can start from. The stored weight is the latent
one, in full precision; what the products use is computed from it at each forward.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bitladder.modeling.linear import coded_linear, float_linear
from bitladder.modeling.routines import Kernels, choose
from bitladder.quantizers.activation import ActivationQuantizer
from bitladder.quantizers.quantizer import Quantized
from bitladder.quantizers.weight import WeightQuantizer


class QuantizedLinear(nn.Linear):
    """A linear layer with, where their quantizers are set, quantized weights and a quantized input.

    Attributes:
        quantizer: of the weight.
        activation: of the input.
    """

    quantizer: WeightQuantizer | None
    activation: ActivationQuantizer | None
    kernels: Kernels

    @staticmethod
    def convert(
        layer: nn.Linear, *, quantizer: WeightQuantizer | None, activation: ActivationQuantizer | None
    ) -> None:
        """Turn `layer` into a QuantizedLinear, in place."""
        layer.__class__ = QuantizedLinear
        converted = cast("QuantizedLinear", layer)
        converted.quantizer, converted.activation = quantizer, activation
        converted.kernels = choose()

    def forward(self, input: Tensor) -> Tensor:
        quantizer, activation = self.quantizer, self.activation
        if self.kernels.fused and quantizer is not None and activation is not None:
            activation.show(input)
            return coded(self, input, activation)
        x = input if activation is None else activation(input)
        if not self.kernels.fused:
            weight_OI = self.weight if quantizer is None else quantizer(self.weight)
            return functional.linear(x, weight_OI, self.bias)
        values_OI, latent_OI = self.weight.detach(), self.weight
        if quantizer is not None:
            values_OI, latent_OI = quantizer.quantize(self.weight).values_OI, quantizer.receiver(self.weight)
        return float_linear(x, values_OI, self.bias, kernels=self.kernels, latent_OI=latent_OI)


def coded(layer: QuantizedLinear, x: Tensor, activation: ActivationQuantizer) -> Tensor:
    """The layer's output on whole numbers, of an input that was shown to `activation`."""
    assert layer.quantizer is not None
    return coded_linear(
        x,
        layer.quantizer.quantize(layer.weight),
        layer.bias,
        quantizer=activation,
        kernels=layer.kernels,
        latent_OI=layer.quantizer.receiver(layer.weight),
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
        kernels=linears[0].kernels,
        latent_OI=torch.cat([quantizer.receiver(weight) for quantizer, weight in own]),
    )


class QuantizedEmbedding(nn.Embedding):
    """An embedding table with quantized entries: all of it, or what is looked up if that is less."""

    quantizer: WeightQuantizer

    @staticmethod
    def convert(layer: nn.Embedding, *, quantizer: WeightQuantizer | None) -> None:
        """Turn `layer` into a QuantizedEmbedding, in place."""
        assert quantizer is not None
        layer.__class__ = QuantizedEmbedding
        cast("QuantizedEmbedding", layer).quantizer = quantizer

    def forward(self, input: Tensor) -> Tensor:
        if self.quantizer.layout.granularity == "matrix" or self.num_embeddings <= input.numel():
            return functional.embedding(input, self.quantizer(self.weight), self.padding_idx)
        looked_up = functional.embedding(input, self.weight, self.padding_idx)
        entries_E, rows_EI = input.flatten(), looked_up.flatten(0, -2)
        values_EI = self.quantizer(rows_EI, entries_E)
        if self.quantizer.learns and self.padding_idx is not None:
            # Padding teaches steps as little as it teaches weights.
            is_padding_E1 = (entries_E == self.padding_idx).unsqueeze(1)
            values_EI = torch.where(is_padding_E1, values_EI.detach(), values_EI)
        return cast("Tensor", values_EI.view_as(looked_up))


def weight_quantizers(model: nn.Module) -> Iterator[tuple[WeightQuantizer, Tensor]]:
    """Every weight quantizer of a model, and the latent weight that it quantizes."""
    for part in model.modules():
        if isinstance(part, QuantizedLinear | QuantizedEmbedding) and part.quantizer is not None:
            yield part.quantizer, part.weight
