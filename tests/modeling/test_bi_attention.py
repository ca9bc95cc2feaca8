"""Bi-Attention: who is attended to, what the context is, which gradient passes; padding has no part in it."""

import math

import pytest
import torch
from tiny_model import batch, classifier, logits, other_padding, wider
from torch import Tensor, nn

from bitladder.modeling.attention import (
    AttentionQuantizers,
    QuantizedSelfAttention,
    activation_quantizers,
    attention,
)
from bitladder.modeling.routines import PLAIN, Routines, choose, use
from bitladder.modeling.traces import trace
from bitladder.quantizers.precision import Precision

FUSED = choose(name="fused")
both_routines = pytest.mark.parametrize("routines", [FUSED, PLAIN], ids=["fused", "plain"])
both_names = pytest.mark.parametrize("name", ["sign", "elastic"])
LOWEST = torch.finfo(torch.float32).min


def bi(name: str) -> Precision:
    return Precision(1, 1, 1, activation_quantizer=name, attention="bi")


def module(routines: Routines, *, num_heads: int = 1, head_size: int = 2) -> nn.Module:
    made = nn.Module()
    made.products = AttentionQuantizers(1, num_heads=num_heads, head_size=head_size, name="sign", bi=True)
    made.routines = routines
    return made


@both_routines
def test_worked_by_hand(routines: Routines) -> None:
    """Signs of query and key agree in both features, in one, in none: scores 2, 0, -2 over the root of 2."""
    query = torch.tensor([[[[0.3, 0.2]]]]).expand(1, 1, 3, 2).contiguous()
    key = torch.tensor([[[[5.0, 0.1], [-4.0, 0.1], [-0.1, -3.0]]]])
    value = torch.tensor([[[[0.5, -0.5], [7.0, -0.1], [-9.0, -9.0]]]])
    context, scores = attention(module(routines), query, key, value, None)
    assert torch.allclose(scores[0, 0, 0], torch.tensor([2.0, 0.0, -2.0]) / math.sqrt(2))
    # The first two are attended to, zero included; the signs of their values are added up and not scaled.
    assert context[0, 0, 0].tolist() == [2.0, -2.0]


@both_routines
def test_who_attends_to_nobody_gets_nothing(routines: Routines) -> None:
    """A single token whose query is the opposite of its key."""
    query = torch.ones(1, 1, 1, 2)
    context, _ = attention(module(routines), query, -query, query, None)
    assert context.flatten().tolist() == [0.0, 0.0]


@both_routines
def test_a_masked_key_is_never_attended_to_and_gets_no_gradient(routines: Routines) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 2, 5, 4, generator=generator).mul_(0.3).unbind()
    mask = torch.zeros(2, 1, 5, 5)
    mask[1, :, :, 3:] = LOWEST
    key, value = key.requires_grad_(), value.requires_grad_()
    made = module(routines, num_heads=2, head_size=4)
    context, _ = attention(made, query, key, value, mask)
    context.square().sum().backward()
    assert key.grad is not None
    assert value.grad is not None
    for gradient in (key.grad, value.grad):
        assert not gradient[1, :, 3:].any()
        assert gradient[0].any()
    hidden = value.detach().clone()
    hidden[1, :, 3:] *= -1
    assert torch.equal(attention(made, query, key, hidden, mask)[0], context)


@both_routines
def test_the_gradient_of_a_score_passes_from_minus_one_to_one(routines: Routines) -> None:
    """Four features: scores are -2, -1, 0, 1 and 2. Beyond one, a key gets nothing."""
    query = torch.full((1, 1, 1, 4), 0.5).expand(1, 1, 5, 4).contiguous()
    key = torch.full((1, 1, 5, 4), 0.5)
    for number in range(5):
        key[0, 0, number, :number] = -0.5
    key.requires_grad_()
    value = torch.ones(1, 1, 5, 4)
    context, scores = attention(module(routines, head_size=4), query, key, value, None)
    assert scores[0, 0, 0].tolist() == [2.0, 1.0, 0.0, -1.0, -2.0]
    context.sum().backward()
    assert key.grad is not None
    assert key.grad[0, 0].any(dim=1).tolist() == [False, True, True, True, False]


def test_dropout_takes_attention_away_and_scales_nothing() -> None:
    query = torch.ones(1, 1, 64, 2)
    made = module(PLAIN).train()
    torch.manual_seed(0)
    context, _ = attention(made, query, query, query, None, dropout=0.5)
    assert torch.equal(context, context.round())
    assert 16 < float(context.detach().mean()) < 48
    assert torch.equal(
        attention(made.eval(), query, query, query, None, dropout=0.5)[0], torch.full((1, 64, 1, 2), 64.0)
    )


def test_fused_and_plain_models_agree_padding_and_single_tokens_included() -> None:
    """With plain signs everywhere. (Elastic values may lie on the next threshold, as ever.)"""
    model, rows = classifier(bi("sign")), {name: tensor.clone() for name, tensor in batch().items()}
    rows["attention_mask"][0, 1:] = 0
    found = []
    for routines in (FUSED, PLAIN):
        use(model, routines)
        found.append(trace(model, rows))
    for fused, plain in zip(found[0].hidden_states, found[1].hidden_states, strict=True):
        assert torch.allclose(fused, plain, atol=1e-5)
    assert torch.allclose(found[0].logits_BL, found[1].logits_BL, atol=1e-5)


@both_names
def test_padding_changes_nothing(name: str) -> None:
    model = classifier(bi(name))
    assert torch.equal(logits(model, batch()), logits(model, other_padding(batch())))
    assert torch.allclose(logits(model, batch()), logits(model, wider(batch(), by=6)), atol=1e-4)


def test_training_reaches_every_weight_of_attention() -> None:
    model = classifier(bi("elastic")).train()
    model(**batch()).logits.square().sum().backward()
    for layer in model.bert.encoder.layer:
        for linear in (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value):
            assert linear.weight.grad.isfinite().all()
            assert linear.weight.grad.any()


def test_queries_and_keys_are_plain_signs_whatever_the_rest_has() -> None:
    """So that scores are whole numbers, and zero is zero whatever the order of a sum."""
    model = classifier(bi("elastic"))
    kinds = {name: type(part).__name__ for name, part in activation_quantizers(model).items()}
    for name, kind in kinds.items():
        plain = name.endswith((".query", ".key", ".probabilities")) and ".products." in name
        assert kind == ("Sign" if plain else "ElasticBinary"), name
    layer = model.bert.encoder.layer[0].attention.self
    assert isinstance(layer, QuantizedSelfAttention)
    scores: Tensor = trace(model, batch()).scores[0] * math.sqrt(layer.attention_head_size)
    assert torch.allclose(scores, scores.round(), atol=1e-5)
