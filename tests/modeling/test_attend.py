"""Self-attention as one function against the plain code: context, scores, and every gradient."""

import pytest
import torch
from tiny_model import batch, classifier
from torch import Tensor, nn

from bitladder.modeling import routines
from bitladder.modeling.attend import rounded
from bitladder.modeling.attention import AttentionQuantizers, QuantizedSelfAttention, attention
from bitladder.modeling.routines import PLAIN, Routines, choose
from bitladder.modeling.traces import trace
from bitladder.quantizers.activation import activation_quantizer
from bitladder.quantizers.precision import Precision

B, H, S, D = 2, 3, 5, 4
FUSED = choose(name="fused")
BFLOAT16 = choose("bfloat16", name="fused")
WIDTHS = [(32, None), (8, None), (8, "min_max_ema"), (8, "lsq"), (4, None), (2, None), (1, None)]
every_kind = pytest.mark.parametrize(
    ("bits", "name", "bi"), [*((*width, False) for width in WIDTHS), (1, "elastic", True), (1, "sign", True)]
)


def module(bits: int, name: str | None = None, bi: bool = False) -> nn.Module:
    made = nn.Module()
    if bits != 32:
        made.products = quantizers = AttentionQuantizers(bits, num_heads=H, head_size=D, name=name, bi=bi)
        for quantizer, x in zip((quantizers.query, quantizers.key, quantizers.value), heads(), strict=True):
            quantizer.calibrate(x)
        quantizers.probabilities.calibrate(torch.rand(B, H, S, S, generator=torch.Generator().manual_seed(1)))
    return made


def heads() -> list[Tensor]:
    return list(torch.randn(3, B, H, S, D, generator=torch.Generator().manual_seed(0)).unbind())


def mask() -> Tensor:
    added = torch.zeros(B, 1, S, S)
    added[1, :, :, 3:] = torch.finfo(torch.float32).min
    return added


def everything(
    made: nn.Module, chosen: Routines, *, scores_matter: bool = True, context_matters: bool = True
) -> dict[str, Tensor]:
    """Context, scores and all gradients by name, under these routines; no gradient counts as zeros."""
    made.routines = chosen
    made.zero_grad()
    inputs = [x.requires_grad_() for x in heads()]
    context, scores = attention(made, *inputs, mask())
    goal = torch.zeros(())
    if context_matters:
        goal = goal + (context * torch.linspace(-1, 2, context.numel()).view_as(context)).sum()
    if scores_matter:
        goal = goal + (scores * torch.linspace(-2, 1, scores.numel()).view_as(scores)).sum()
    goal.backward()
    found = {name: _gradient(parameter) for name, parameter in made.named_parameters()}
    query, key, value = (_gradient(x) for x in inputs)
    return {
        "context": context.detach(),
        "scores": scores.detach(),
        "query": query,
        "key": key,
        "value": value,
        **found,
    }


def _gradient(x: Tensor) -> Tensor:
    return torch.zeros_like(x) if x.grad is None else x.grad


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        worst = float((found[name] - values).abs().max() / values.abs().max().clamp(min=1e-2))
        assert worst <= tolerance, f"{name}: {worst}"


@every_kind
@pytest.mark.parametrize(("scores_matter", "context_matters"), [(True, True), (False, True), (True, False)])
def test_context_scores_and_all_gradients_are_those_of_the_plain_code(
    bits: int, name: str | None, bi: bool, scores_matter: bool, context_matters: bool
) -> None:
    """Scores alone matter in the last layer where nothing but scores is distilled."""
    made = module(bits, name, bi).eval()
    fused, plain = (
        everything(made, chosen, scores_matter=scores_matter, context_matters=context_matters)
        for chosen in (FUSED, PLAIN)
    )
    # 2e-5: a step's gradient sums terms that nearly cancel.
    assert_close(fused, plain, 2e-5)


@every_kind
def test_with_bfloat16_gradients_the_forward_is_the_same_and_the_gradients_nearly(
    bits: int, name: str | None, bi: bool
) -> None:
    made = module(bits, name, bi).eval()
    rounded_ones, exact = everything(made, BFLOAT16), everything(made, FUSED)
    for name in ("context", "scores"):
        assert torch.equal(rounded_ones.pop(name), exact.pop(name))
    # bfloat16 keeps 8 bits of each factor; the terms of a step's gradient nearly cancel.
    assert_close(rounded_ones, exact, 0.1)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("bits", "name"), [*WIDTHS[1:], (1, "sign")])
def test_rounding_as_one_function_is_the_quantizer(bits: int, name: str | None, signed: bool) -> None:
    quantizer = activation_quantizer(bits, signed=signed, shift_shape=(H, 1, D), name=name).eval()
    quantizer.calibrate(heads()[0])
    upstream = heads()[1]
    found = []
    for function in (lambda x: rounded(x, quantizer), quantizer):
        quantizer.zero_grad()
        x = heads()[0].requires_grad_()
        values = function(x)
        values.backward(upstream)
        found.append([values.detach(), x.grad, *(parameter.grad for parameter in quantizer.parameters())])
    assert torch.equal(upstream, heads()[1]), "the gradient that came in was overwritten"
    for ours, plain in zip(*found, strict=True):
        assert torch.allclose(ours, plain, rtol=1e-4, atol=1e-5)


def test_dropout_in_training_takes_the_plain_way() -> None:
    made = module(8).train()
    made.routines = FUSED
    torch.manual_seed(0)
    dropped = attention(made, *heads(), mask(), dropout=0.5)[0]
    torch.manual_seed(0)
    made.routines = PLAIN
    assert torch.equal(attention(made, *heads(), mask(), dropout=0.5)[0], dropped)


@pytest.mark.parametrize("granularity", ["row", "matrix"])
@pytest.mark.parametrize("weights", [1, 2, 8])
def test_one_product_for_query_key_and_value_gives_the_bits_of_three(weights: int, granularity: str) -> None:
    """Whole numbers have one right sum: which layers share a product cannot matter."""
    model = classifier(Precision(weights, weights, 8, granularity))  # type: ignore[arg-type]
    layer = model.bert.encoder.layer[0].attention.self
    assert isinstance(layer, QuantizedSelfAttention)
    x = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
    together = layer(x)
    apart = [
        linear(x).unflatten(-1, (4, 8)).transpose(1, 2) for linear in (layer.query, layer.key, layer.value)
    ]
    context, scores = attention(layer, *apart, None, scaling=layer.scaling)
    assert torch.equal(together[1], scores)
    assert torch.equal(together[0], context.flatten(2))


@pytest.mark.parametrize(
    "precision",
    [
        Precision(1, 1, 8),
        Precision(2, 2, 32),
        Precision(1, 1, 8, activation_quantizer="min_max_ema"),
        Precision(1, 1, 1, activation_quantizer="sign", attention="bi"),
    ],
)
def test_a_whole_models_gradients_are_those_of_the_plain_code(precision: Precision) -> None:
    model, found = classifier(precision), []
    for chosen in (FUSED, PLAIN):
        routines.use(model, chosen)
        model.zero_grad()
        traced = trace(model, batch())
        sum(t.square().mean() for t in (traced.logits_BL, *traced.hidden_states, *traced.scores)).backward()
        found.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    for name, expected in found[1].items():
        # 1e-3: a rounding difference may turn one code in some thousand. Of 4 bits, each would be felt.
        assert (found[0][name] - expected).abs().max() <= 1e-3 * max(1.0, float(expected.abs().max())), name
