"""Layers whose weights are quantized at each forward: conversion in place, latent weights, gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear
from bitladder.modeling.routines import PLAIN
from bitladder.quantizers.names import WEIGHTS, usual
from bitladder.quantizers.per_token import PerToken
from bitladder.quantizers.precision import Granularity
from bitladder.quantizers.weight import ScaleLayout, build, quantize_weight

GRANULARITIES = ("row", "matrix")
IDS = torch.tensor([[3, 0, 5], [3, 3, 9]])


def table(granularity: Granularity = "row", bits: int = 1) -> nn.Embedding:
    torch.manual_seed(0)
    layer = nn.Embedding(10, 6, padding_idx=0)
    QuantizedEmbedding.convert(
        layer, quantizer=build(usual(WEIGHTS, bits), ScaleLayout(bits, 10, 6, granularity))
    )
    return layer


def linear(granularity: Granularity = "row", bits: int = 1) -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(6, 4)
    quantizer = build(usual(WEIGHTS, bits), ScaleLayout(bits, 4, 6, granularity))
    QuantizedLinear.convert(layer, quantizer=quantizer, activation=None)
    return layer


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_linear_multiplies_with_the_quantized_weight(granularity: Granularity, bits: int) -> None:
    layer, x = linear(granularity, bits), torch.randn(3, 6)
    layer.routines = PLAIN
    values_OI = quantize_weight(layer.weight.detach(), bits, granularity).values_OI
    assert torch.equal(layer(x), functional.linear(x, values_OI, layer.bias))


def test_a_linears_input_is_quantized_where_it_has_a_quantizer() -> None:
    layer = nn.Linear(6, 4)
    QuantizedLinear.convert(layer, quantizer=None, activation=PerToken(8))
    layer.routines = PLAIN
    x = torch.randn(3, 6)
    assert torch.equal(layer(x), functional.linear(PerToken(8)(x), layer.weight, layer.bias))


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_table_looks_up_the_rows_of_the_quantized_table(granularity: Granularity, bits: int) -> None:
    layer = table(granularity, bits)
    values_OI = quantize_weight(layer.weight.detach(), bits, granularity).values_OI
    assert torch.equal(layer(IDS), values_OI[IDS])


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_only_looked_up_rows_get_a_gradient_and_padding_none(granularity: Granularity) -> None:
    layer = table(granularity)
    layer(IDS).sum().backward()
    touched = layer.weight.grad.abs().sum(dim=1) > 0
    assert touched.nonzero().flatten().tolist() == [3, 5, 9]
    assert layer.weight.grad[3].tolist() == [3.0] * 6  # looked up three times


def test_the_latent_weight_is_kept_as_it_was_under_its_own_name() -> None:
    layer = nn.Linear(6, 4)
    before, weight = layer.weight.detach().clone(), layer.weight
    QuantizedLinear.convert(layer, quantizer=build("bwn", ScaleLayout(1, 4, 6)), activation=None)
    layer(torch.randn(2, 6)).sum().backward()
    assert layer.weight is weight
    assert torch.equal(layer.weight, before)
    assert list(layer.state_dict()) == ["weight", "bias"]
