"""Every weight quantizer at every granularity inside a layer: fast routines give the plain ones' results."""

import pytest
import torch
from test_linear import FUSED, assert_close, everything, inputs
from tiny_model import batch, classifier
from torch import Tensor, nn

from bitladder.modeling import routines
from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear, weight_quantizers
from bitladder.modeling.routines import PLAIN
from bitladder.quantizers.activation import activation_quantizer
from bitladder.quantizers.names import WEIGHTS
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.weight import weight_quantizer

EVERY = [(name, bits) for name, named in WEIGHTS.items() for bits in named.bits]
SHARINGS = (("row", None), ("matrix", None), ("group", 9))
every_quantizer = pytest.mark.parametrize(("name", "bits"), EVERY)
every_sharing = pytest.mark.parametrize(("granularity", "group_size"), SHARINGS)
IDS = torch.tensor([[3, 0, 5], [3, 3, 9]])


def seen(model: nn.Module) -> None:
    """Calibrate weight quantizers and show them second moments that differ from weight to weight."""
    generator = torch.Generator().manual_seed(2)
    for quantizer, weight in weight_quantizers(model):
        quantizer.calibrate(weight)
        quantizer.observe(torch.rand(weight.shape, generator=generator).square())


def linear(precision: Precision, *, signed: bool = True) -> QuantizedLinear:
    """45 inputs, 13 outputs, calibrated."""
    torch.manual_seed(0)
    made, activations = nn.Linear(45, 13), precision.activations
    activation = None
    if activations != 32:
        activation = activation_quantizer(activations, signed=signed, shift_shape=(45,))
        activation.calibrate(inputs(signed))
    QuantizedLinear.convert(made, quantizer=weight_quantizer(precision, (13, 45)), activation=activation)
    assert isinstance(made, QuantizedLinear)
    seen(made)
    return made


@every_quantizer
@every_sharing
@pytest.mark.parametrize("activations", [32, 8, 4, 1])
def test_outputs_and_all_gradients_are_those_of_the_plain_layer(
    name: str, bits: int, granularity: str, group_size: int | None, activations: int
) -> None:
    precision = Precision(bits, bits, activations, granularity, False, group_size, name)  # type: ignore[arg-type]
    made, x = linear(precision, signed=activations != 4), inputs(activations != 4)
    # 5e-5: a step's gradient sums terms that nearly cancel.
    assert_close(everything(made, x, FUSED), everything(made, x, PLAIN), 5e-5)


@pytest.mark.parametrize("activations", [8, 4, 1])
@pytest.mark.parametrize("group_size", [1, 5, 9, 45])
def test_the_product_of_groups_is_that_of_the_quantized_values(activations: int, group_size: int) -> None:
    """In float64, where nothing is rounded that matters."""
    made = linear(Precision(4, 4, activations, "group", group_size=group_size), signed=False)
    assert made.quantizer is not None
    x = made.activation(inputs(False)).detach().double()  # type: ignore[misc]
    expected = x @ made.quantizer.quantize(made.weight).values_OI.double().t() + made.bias
    assert torch.allclose(made(inputs(False)).double(), expected, rtol=1e-5, atol=1e-5)


@every_quantizer
@every_sharing
def test_a_table_looks_up_quantized_rows_and_gets_the_whole_tables_gradients(
    name: str, bits: int, granularity: str, group_size: int | None
) -> None:
    precision = Precision(bits, bits, 32, granularity, False, group_size, name)  # type: ignore[arg-type]
    torch.manual_seed(0)
    table = nn.Embedding(10, 18, padding_idx=0)
    QuantizedEmbedding.convert(table, quantizer=weight_quantizer(precision, (10, 18), is_table=True))
    seen(table)
    upstream = torch.linspace(-1, 2, IDS.numel() * 18).view(*IDS.shape, 18)
    values, found = _gradients(table, IDS, upstream)  # 6 ids of 10: only what is looked up is quantized
    twice, expected = _gradients(table, IDS.repeat(2, 1), torch.cat([upstream, torch.zeros_like(upstream)]))
    assert torch.equal(values, table.quantizer.quantize(table.weight).values_OI[IDS])
    assert torch.equal(values, twice[:2])
    assert_close(found, expected, 5e-5)  # as above
    if (name, granularity) != ("bwn_zero_mean", "matrix"):  # the mean is padding's too
        assert found["weight"][0].abs().max() == 0
    if granularity == "row" and "quantizer.log_step" in found:
        assert found["quantizer.log_step"].flatten().nonzero().flatten().tolist() == [3, 5, 9]


def _gradients(table: nn.Embedding, ids: Tensor, upstream: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    table.zero_grad()
    values = table(ids)
    values.backward(upstream)
    return values.detach(), {n: p.grad.clone() for n, p in table.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["bwn_zero_mean", "lat", "lsq", "min_max"])
@pytest.mark.parametrize(("granularity", "group_size"), [("row", None), ("group", 4)])
def test_a_whole_models_logits_are_nearly_the_plain_ones(
    name: str, granularity: str, group_size: int | None
) -> None:
    bits = WEIGHTS[name].bits[0]
    precision = Precision(bits, bits, 8, granularity, False, group_size, name)  # type: ignore[arg-type]
    model = classifier(precision, intermediate_size=44)
    with torch.no_grad():
        fused = model(**batch()).logits
        routines.use(model, PLAIN)
        assert torch.allclose(fused, model(**batch()).logits, atol=1e-4)


def test_a_model_whose_rows_no_groups_fill_is_not_built() -> None:
    with pytest.raises(ValueError, match="group_size: 4 does not divide 45 inputs"):
        classifier(Precision(1, 1, 8, "group", group_size=4))


def test_joined_query_key_and_value_may_learn_steps() -> None:
    """At 8 bits their products are one; each step must get its own gradient."""
    model = classifier(Precision(4, 4, 8, weight_quantizer="lsq"))
    found = []
    for chosen in (FUSED, PLAIN):
        routines.use(model, chosen)
        model.zero_grad()
        model(**batch()).logits.pow(2).sum().backward()
        found.append({n: p.grad for n, p in model.named_parameters() if n.endswith("quantizer.log_step")})
    fused, plain = found
    assert len(fused) == 2 * 6 + 1 + 3
    for name, gradient in fused.items():
        assert torch.allclose(gradient, plain[name], rtol=1e-3, atol=1e-4 * float(plain[name].abs().max())), (
            name
        )
