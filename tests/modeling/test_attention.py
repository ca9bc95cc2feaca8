"""Attention as transformers' own computes it, its scores before the softmax, both products quantized."""

import math

import pytest
import torch
from tiny_model import batch, classifier, plain_copy
from torch import Tensor, nn

from bitladder.modeling.attention import AttentionQuantizers, attention
from bitladder.modeling.traces import trace

B, H, S, D = 2, 3, 5, 4


def heads(seed: int) -> Tensor:
    return torch.randn(B, H, S, D, generator=torch.Generator().manual_seed(seed))


def mask() -> Tensor:
    """Additive, [B, 1, S, S]: the second sequence has three tokens."""
    added = torch.zeros(B, 1, S, S)
    added[1, :, :, 3:] = torch.finfo(torch.float32).min
    return added


def test_the_scores_come_before_the_softmax_and_before_the_mask() -> None:
    model = classifier()
    traced = trace(model, batch())
    plain = plain_copy(model)
    probabilities = plain(**batch(), output_attentions=True).attentions
    hidden_keys = torch.where(batch()["attention_mask"] == 0, -torch.inf, 0.0)[:, None, None, :]
    assert len(traced.scores) == len(probabilities) == 2
    for scores, expected in zip(traced.scores, probabilities, strict=True):
        assert torch.allclose((scores + hidden_keys).softmax(dim=-1), expected, atol=1e-6)
        assert scores.min() < 0, "probabilities, not scores"


def test_scores_and_context_worked_by_hand() -> None:
    query, key, value = (torch.tensor([[[[1.0, 0.0], [0.0, 2.0]]]]) for _ in range(3))
    context, scores = attention(nn.Identity(), query, key, value, None)
    assert torch.allclose(scores, torch.tensor([[[[1.0, 0.0], [0.0, 4.0]]]]) / math.sqrt(2))
    first = 1 / (1 + math.exp(-1 / math.sqrt(2)))  # softmax of two scores is the sigmoid of their difference
    assert torch.allclose(context[0, 0, 0], torch.tensor([first, 2 * (1 - first)]))


@pytest.mark.parametrize("bits", [8, 4, 1])
def test_both_products_see_quantized_inputs_and_the_softmax_stays(bits: int) -> None:
    module = nn.Module()
    module.products = quantizers = AttentionQuantizers(bits, num_heads=H, head_size=D)
    query, key, value = heads(0), heads(1), heads(2)
    for quantizer, x in ((quantizers.query, query), (quantizers.key, key), (quantizers.value, value)):
        quantizer.calibrate(x)
    quantizers.probabilities.calibrate((query @ key.transpose(2, 3)).softmax(dim=-1))
    module.eval()

    context, scores = attention(module, query, key, value, mask())

    expected_scores = quantizers.query(query) @ quantizers.key(key).transpose(2, 3) / math.sqrt(D)
    probabilities = quantizers.probabilities((expected_scores + mask()).softmax(dim=-1))
    expected = (probabilities @ quantizers.value(value)).transpose(1, 2)
    assert torch.allclose(scores, expected_scores)
    assert torch.allclose(context, expected)
    assert context.shape == (B, S, H, D)
    assert not probabilities[1, :, :, 3:].any(), "a masked key keeps the probability zero"


def test_dropout_falls_on_probabilities_in_training_only() -> None:
    module = nn.Identity()
    inputs = (heads(0), heads(1), heads(2), None)
    plain = attention(module.eval(), *inputs, dropout=0.0)[0]
    assert torch.equal(attention(module, *inputs, dropout=0.5)[0], plain)
    torch.manual_seed(0)
    assert not torch.equal(attention(module.train(), *inputs, dropout=0.5)[0], plain)
