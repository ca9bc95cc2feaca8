"""A split layer computes the sum of its two binary halves; after ternary weight splitting, what the ternary
layer computed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import batch, config, logits
from tiny_rung import write_tokenizer
from torch import nn

from bitladder.modeling import checkpoint
from bitladder.modeling.bert import WIDTH_KEY, build_bert
from bitladder.modeling.layers import WeightSplitEmbedding, WeightSplitLinear
from bitladder.modeling.routines import PLAIN, use
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Granularity, Precision
from bitladder.quantizers.weight import quantize_weight
from bitladder.transformers_model.model import load_unpublished
from pipeline.initialization.step_sizes import calibrate
from pipeline.initialization.weight_splitting import split_weights

ACTIVATIONS = pytest.mark.parametrize("bits", [32, 8, 4, 1])
ROWS_OR_MATRIX = pytest.mark.parametrize("granularity", ["row", "matrix"])


def classifier(precision: Precision, *, width: float = 0.5, neurons: int = 46) -> nn.Module:
    """Of half the width unless said, with activations calibrated."""
    wanted = config(intermediate_size=neurons)
    setattr(wanted, WIDTH_KEY, width)
    torch.manual_seed(0)
    model = build_bert(wanted, precision).eval()
    calibrate(model, batch())
    return model


@ACTIVATIONS
@ROWS_OR_MATRIX
@pytest.mark.parametrize("width", [0.5, 1.0])
def test_a_ternary_model_computes_the_same_after_its_split(
    bits: int, granularity: Granularity, width: float
) -> None:
    ternary = classifier(Precision(2, 2, bits, granularity), width=width)
    binary = classifier(Precision(1, 1, bits, granularity, split=True), width=width)
    state = split_weights(ternary.state_dict(), granularity)
    checkpoint.load_strictly(binary, state, source="the split")
    # Weights are equal; a row's two products are rounded before they are added, which moves an activation
    # next to a threshold, where there is one, by a whole level.
    difference = (logits(ternary, batch()) - logits(binary, batch())).abs().max()
    assert difference < (5e-6 if bits == 32 else 0.2)


def test_what_is_split_is_named_as_the_layers_are() -> None:
    binary = classifier(Precision(1, 1, 1, split=True))
    assert set(split_weights(classifier(Precision(2, 2, 1)).state_dict(), "row")) == set(binary.state_dict())
    halves = [name for name in binary.state_dict() if ".first.weight" in name or ".second." in name]
    assert len(halves) == 2 * (2 * 6 + 1 + 3)


def test_a_linear_is_the_sum_of_its_halves() -> None:
    torch.manual_seed(0)
    layer = WeightSplitLinear(nn.Linear(5, 3), precision=Precision(1, 1, split=True), activation=None)
    weight = sum(quantize_weight(half.weight, 1, "row").values_OI for half in (layer.first, layer.second))
    x = torch.randn(4, 5)
    assert torch.allclose(layer(x), nn.functional.linear(x, weight, layer.first.bias), atol=1e-6)
    assert [name for name, _ in layer.named_parameters()] == ["first.weight", "first.bias", "second.weight"]


def test_a_table_is_the_sum_of_its_halves() -> None:
    torch.manual_seed(0)
    table = WeightSplitEmbedding(nn.Embedding(7, 4), precision=Precision(1, 1, split=True))
    values = sum(quantize_weight(half.weight, 1, "row").values_OI for half in (table.first, table.second))
    assert torch.equal(table(torch.tensor([[0, 6]])), values[torch.tensor([[0, 6]])])


@ACTIVATIONS
def test_both_halves_learn_and_fused_routines_give_the_plain_ones_gradients(bits: int) -> None:
    gradients = []
    for plain in (False, True):
        model = classifier(Precision(1, 1, bits, split=True))
        if plain:
            use(model, PLAIN)
        model(**batch()).logits.pow(2).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient is not None, name
        if bits in (32, 8):  # with fewer levels, one value next to a threshold changes what follows
            assert torch.allclose(gradient, gradients[1][name], atol=1e-4, rtol=1e-3), name


@ACTIVATIONS
@pytest.mark.parametrize("split", [True, False])
def test_it_is_packed_as_it_was_trained(tmp_path: Path, bits: int, split: bool) -> None:
    trained, packed = tmp_path / "trained", tmp_path / "packed"
    trained.mkdir()
    packed.mkdir()
    model = classifier(Precision(1 if split else 2, 1 if split else 2, bits, split=split))
    checkpoint.round_side_parameters(model)
    write_tokenizer(trained)
    checkpoint.save(trained, model, model.config, tokenizer_from=tmp_path)
    pack(trained, packed)
    loaded = checkpoint.load_bert(trained)
    assert torch.equal(logits(load_unpublished(packed), batch()), logits(loaded, batch()))
    assert torch.equal(logits(loaded, batch()), logits(model, batch()))


@ACTIVATIONS
def test_groups_split_too(bits: int) -> None:
    """Rows of 32, 16 and 24 numbers, at half the width."""
    precision = Precision(2, 2, bits, "group", group_size=8)
    ternary = classifier(precision, neurons=48)
    binary = classifier(replace(precision, weights=1, embeddings=1, split=True), neurons=48)
    checkpoint.load_strictly(binary, split_weights(ternary.state_dict(), "group", 8), source="the split")
    difference = (logits(ternary, batch()) - logits(binary, batch())).abs().max()
    assert difference < (5e-6 if bits == 32 else 0.2)  # as above
