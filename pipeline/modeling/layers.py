"""Linear and embedding layers that see their weights through a quantizer.

A layer is converted by changing its class in place, so its parameter is still called `weight`: every rung's
checkpoint is an ordinary BERT checkpoint that the next rung can start from. The stored weight is the latent
one, in full precision; what the products use is computed from it at each forward.
"""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.modeling.kernels import Kernels, choose
from pipeline.modeling.linear import CodedWeight, coded_linear, float_linear
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


@torch.no_grad()
def coded_weight(latent_OI: Tensor, bits: int, granularity: Granularity) -> CodedWeight:
    """The weight as whole numbers, one scale per row or one for all."""
    quantized = quantize_weight(latent_OI, bits, granularity)
    return CodedWeight(quantized.codes_OI, quantized.scale_O1.flatten(), largest_code(bits))


def largest_code(bits: int) -> int:
    """The largest magnitude of a weight's code: 1, 1, 7, 127 for 1, 2, 4, 8 bits."""
    return int(2 ** max(bits - 1, 1) - 1)


class QuantizedLinear(nn.Linear):
    """A linear layer with quantized weights and, where `activation` is set, a quantized input."""

    bits: int
    granularity: Granularity
    activation: ActivationQuantizer | None
    kernels: Kernels

    @staticmethod
    def convert(
        layer: nn.Linear, *, bits: int, granularity: Granularity, activation: ActivationQuantizer | None
    ) -> None:
        """Turn `layer` into a QuantizedLinear, in place."""
        layer.__class__ = QuantizedLinear
        converted = cast("QuantizedLinear", layer)
        converted.bits, converted.granularity = bits, granularity
        converted.activation = activation
        converted.kernels = choose()

    def forward(self, input: Tensor) -> Tensor:
        quantizer = self.activation
        if self.kernels.fused and self.bits != FULL and quantizer is not None:
            quantizer.show(input)
            weight = coded_weight(self.weight, self.bits, self.granularity)
            return coded_linear(
                input, weight, self.bias, quantizer=quantizer, kernels=self.kernels, latent_OI=self.weight
            )
        x = input if quantizer is None else quantizer(input)
        if self.kernels.fused:
            values_OI = self.weight.detach()
            if self.bits != FULL:
                values_OI = quantize_weight(values_OI, self.bits, self.granularity).values_OI
            return float_linear(x, values_OI, self.bias, kernels=self.kernels, latent_OI=self.weight)
        return functional.linear(x, quantized_weight(self.weight, self.bits, self.granularity), self.bias)


def share_codes(layers: Iterable[nn.Module]) -> bool:
    """Whether these layers make the same whole numbers of the same input, as by default at 8 bits."""
    return all(
        isinstance(layer, QuantizedLinear)
        and layer.bits != FULL
        and layer.activation is not None
        and layer.activation.always_alike
        for layer in layers
    )


def joined(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    """The outputs of layers that share their codes, side by side, as one product: [..., sum of O]."""
    linears = [cast("QuantizedLinear", layer) for layer in layers]
    weights = [coded_weight(layer.weight, layer.bits, layer.granularity) for layer in linears]
    scales = [weight.scale_O.expand(weight.codes_OI.shape[0]) for weight in weights]
    codes_OI, scale_O = torch.cat([weight.codes_OI for weight in weights]), torch.cat(scales)
    quantizers = [cast("ActivationQuantizer", layer.activation) for layer in linears]
    for quantizer in quantizers:
        quantizer.show(x)
    return coded_linear(
        x,
        CodedWeight(codes_OI, scale_O, max(weight.largest for weight in weights)),
        torch.cat([layer.bias for layer in linears]),
        quantizer=quantizers[0],
        kernels=linears[0].kernels,
        latent_OI=torch.cat([layer.weight for layer in linears]),
    )


class QuantizedEmbedding(nn.Embedding):
    """An embedding table with quantized entries: all of it, or what is looked up if that is less."""

    bits: int
    granularity: Granularity

    @staticmethod
    def convert(layer: nn.Embedding, *, bits: int, granularity: Granularity) -> None:
        """Turn `layer` into a QuantizedEmbedding, in place."""
        layer.__class__ = QuantizedEmbedding
        converted = cast("QuantizedEmbedding", layer)
        converted.bits, converted.granularity = bits, granularity

    def forward(self, input: Tensor) -> Tensor:
        if self.granularity == "matrix" or self.num_embeddings <= input.numel():
            table = quantized_weight(self.weight, self.bits, self.granularity)
            return functional.embedding(input, table, self.padding_idx)
        rows = functional.embedding(input, self.weight, self.padding_idx)
        return quantized_weight(rows.flatten(0, -2), self.bits, self.granularity).view_as(rows)
