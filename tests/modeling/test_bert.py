"""Classifiers built from transformers' own classes: its numbers in full precision, and what is quantized."""

import pytest
import torch
from tiny_model import (
    WEIGHTS_ONLY,
    WITH_ACTIVATIONS,
    batch,
    classifier,
    config,
    logits,
    other_padding,
    plain_copy,
    wider,
)
from torch import nn
from transformers import BertForSequenceClassification

from bitladder.modeling.attention import activation_quantizers
from bitladder.modeling.bert import build_bert, precision_of, quantize
from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear
from bitladder.modeling.routines import PLAIN, use
from bitladder.quantizers.activation_lsq import ActivationLsq
from bitladder.quantizers.elastic import ElasticBinary
from bitladder.quantizers.per_token import PerToken
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.weight import quantize_weight

EVERY_PRECISION = (None, *WEIGHTS_ONLY, *WITH_ACTIVATIONS)
TABLES = {f"bert.embeddings.{name}_embeddings" for name in ("word", "position", "token_type")}
LAYER = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
LINEARS = {
    *(f"bert.encoder.layer.{i}.{n}" for i in (0, 1) for n in (*LAYER, "intermediate.dense", "output.dense")),
    "bert.pooler.dense",
}


def latents_replaced_by_their_values(model: nn.Module, precision: Precision) -> BertForSequenceClassification:
    """transformers' own model, its weights quantized beforehand: what a rung has to compute."""
    plain = plain_copy(model)
    with torch.no_grad():
        for names, bits in ((LINEARS, precision.weights), (TABLES, precision.embeddings)):
            for name in names:
                weight = plain.get_submodule(name).weight
                weight.copy_(quantize_weight(weight, bits, precision.granularity).values_OI)
    return plain


# full precision


def test_in_full_precision_the_logits_are_transformers_own() -> None:
    model = classifier()
    expected = logits(plain_copy(model), batch())
    # 1e-6 of logits near 1: the products are the same, their order of summation need not be.
    assert torch.allclose(logits(model, batch()), expected, rtol=0, atol=1e-6)
    assert expected.std() > 0.1, "the comparison would be of constants"


def test_32_bits_everywhere_are_bitwise_the_model_itself() -> None:
    model = classifier()
    before = logits(model, batch())
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    quantize(model, Precision(32, 32, 32))
    # 1e-6 of logits near 1: other routines sum in another order.
    assert torch.allclose(logits(model, batch()), before, rtol=0, atol=1e-6)
    use(model, PLAIN)
    assert torch.equal(logits(model, batch()), before)
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_a_config_of_half_precision_still_gives_a_float32_model() -> None:
    half = config()
    half.dtype = torch.float16
    assert {parameter.dtype for parameter in build_bert(half).parameters()} == {torch.float32}


# padding


@pytest.mark.parametrize("precision", EVERY_PRECISION)
def test_padding_is_not_attended(precision: Precision | None) -> None:
    """Registered without its mask, an attention function would attend to it in silence."""
    model = classifier(precision)
    assert torch.equal(logits(model, batch()), logits(model, other_padding(batch())))


@pytest.mark.parametrize("precision", [None, Precision(1, 1)])
def test_a_sequence_has_the_same_logits_however_far_it_is_padded(precision: Precision | None) -> None:
    model = classifier(precision)
    # 1e-5: wider products are summed in another order.
    assert torch.allclose(logits(model, wider(batch(), by=6)), logits(model, batch()), atol=1e-5)


def test_the_mask_matters() -> None:
    everything = {**batch(), "attention_mask": torch.ones_like(batch()["attention_mask"])}
    model = classifier()
    assert not torch.allclose(logits(model, everything), logits(model, batch()), atol=1e-3)


# weights


@pytest.mark.parametrize("precision", WEIGHTS_ONLY)
def test_a_rung_of_quantized_weights_is_a_plain_bert_with_those_weights(precision: Precision) -> None:
    """Word table included, which a peer trains per row and stores per matrix; a peer's cannot run at A32."""
    model = classifier(precision)
    expected = logits(latents_replaced_by_their_values(model, precision), batch())
    assert torch.allclose(logits(model, batch()), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", [*WEIGHTS_ONLY, *WITH_ACTIVATIONS])
def test_linears_and_tables_are_quantized_and_nothing_else(precision: Precision) -> None:
    model = classifier(precision)
    modules = dict(model.named_modules())
    assert {name for name, part in modules.items() if isinstance(part, QuantizedLinear)} == LINEARS
    assert {name for name, part in modules.items() if isinstance(part, QuantizedEmbedding)} == TABLES
    assert {modules[name].quantizer.layout.bits for name in LINEARS} == {precision.weights}
    assert {modules[name].quantizer.layout.bits for name in TABLES} == {precision.embeddings}
    assert type(model.classifier) is nn.Linear
    assert all(type(part) is nn.LayerNorm for name, part in modules.items() if name.endswith("LayerNorm"))


@pytest.mark.parametrize("precision", WEIGHTS_ONLY)
def test_without_activation_bits_no_activation_quantizer_exists(precision: Precision) -> None:
    model = classifier(precision)
    assert activation_quantizers(model) == {}
    assert list(model.state_dict()) == list(classifier().state_dict())


def test_tables_at_32_bits_stay_plain_beside_quantized_linears() -> None:
    model = classifier(Precision(1, 32))
    assert not any(isinstance(part, QuantizedEmbedding) for part in model.modules())


# activations


@pytest.mark.parametrize(
    ("bits", "centred", "not_negative", "probabilities"),
    [
        (8, PerToken, PerToken, PerToken),
        (4, ActivationLsq, ActivationLsq, ActivationLsq),
        (2, ActivationLsq, ActivationLsq, ActivationLsq),
        (1, *[ElasticBinary] * 3),
    ],
)
def test_every_linears_input_and_both_products_are_quantized_at_every_width(
    bits: int, centred: type, not_negative: type, probabilities: type
) -> None:
    """At other widths than 1, a peer quantizes no attention input and leaves the softmax out."""
    found = activation_quantizers(classifier(Precision(1, 1, bits)))
    products = {
        f"bert.encoder.layer.{i}.attention.self.products.{n}"
        for i in (0, 1)
        for n in ("query", "key", "value", "probabilities")
    }
    assert set(found) == {f"{name}.activation" for name in LINEARS} | products
    for name, quantizer in found.items():
        after_gelu = name.endswith("output.dense.activation") and "attention" not in name
        kind = probabilities if name.endswith("probabilities") else not_negative if after_gelu else centred
        assert type(quantizer) is kind, name
        if isinstance(quantizer, ElasticBinary):
            assert quantizer.signed is not (after_gelu or name.endswith("probabilities")), name


@pytest.mark.parametrize("precision", WITH_ACTIVATIONS)
def test_weights_keep_their_names_and_only_steps_are_added(precision: Precision) -> None:
    plain, model = classifier().state_dict(), classifier(precision).state_dict()
    added = set(model) - set(plain)
    assert set(plain) <= set(model)
    assert {name.rsplit(".", 1)[1] for name in added} <= {"log_step", "shift", "offset", "magnitude"}


@pytest.mark.parametrize("precision", WITH_ACTIVATIONS)
def test_every_step_is_set_and_every_parameter_gets_a_gradient(precision: Precision) -> None:
    model = classifier(precision)
    model(**batch()).logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.isfinite().all(), name
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_the_precision_is_noted_in_the_config() -> None:
    precision = Precision(2, 4, 8, "matrix")
    assert precision_of(classifier(precision).config) == precision
    assert precision_of(classifier().config) == Precision()


# ReLU instead of GELU


@pytest.mark.parametrize("bits", [4, 2, 1])
def test_what_relu_puts_out_is_quantized_from_zero_on_without_offset_or_shift(bits: int) -> None:
    for hidden_act, shifted in (("relu", False), ("gelu", True)):
        model = classifier(Precision(1, 1, bits), hidden_act=hidden_act)
        for layer in model.bert.encoder.layer:
            learned = dict(layer.output.dense.activation.named_parameters())
            assert set(learned) == {"log_step"} | ({"offset" if bits > 1 else "shift"} if shifted else set())
        if not shifted:
            seen: list[float] = []
            model.bert.encoder.layer[0].output.dense.activation.register_forward_hook(
                lambda _, __, out, seen=seen: seen.append(float(out.min()))
            )
            logits(model, batch())
            assert seen == [0.0]


def test_the_sign_of_what_relu_puts_out_is_refused() -> None:
    with pytest.raises(ValueError, match="every sign is the same"):
        classifier(Precision(1, 1, 1, activation_quantizer="sign", attention="bi"), hidden_act="relu")


def test_a_relu_model_takes_the_weights_of_a_gelu_model() -> None:
    """Only weights are copied; what stands between them is the model's own."""
    parent, child = classifier(), classifier(hidden_act="relu")
    child.load_state_dict(parent.state_dict())
    assert not torch.allclose(logits(parent, batch()), logits(child, batch()))
