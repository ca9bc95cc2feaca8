"""Linear layers on whole numbers against the plain ones: outputs, and every gradient."""

import itertools
from dataclasses import replace

import pytest
import torch
from tiny_model import batch, classifier
from torch import Tensor, nn

from bitladder.modeling import routines
from bitladder.modeling.layers import QuantizedLinear
from bitladder.modeling.linear import multiply
from bitladder.modeling.routines import PLAIN, Routines, choose
from bitladder.quantizers.activation import activation_quantizer
from bitladder.quantizers.precision import Granularity, Precision
from bitladder.quantizers.weight import quantize_weight, weight_quantizer

FUSED = choose(name="fused")
BFLOAT16 = choose("bfloat16", name="fused")
WIDTHS = list(itertools.product([1, 2, 4, 8], [8, 4, 2, 1]))
SHAPES = ((2, 7, 45), (3, 45))
# Layers this small go through oneDNN only where the test says that they are worth it.
every_threshold = pytest.mark.parametrize("worth", [0, routines.WORTH_ONEDNN])
every_place = pytest.mark.parametrize("signed", [True, False])


def layer(bits: int, activations: int, *, signed: bool, granularity: Granularity = "row") -> QuantizedLinear:
    """45 inputs, 13 outputs, calibrated on `inputs()`, with a shift and an offset that are not zero."""
    torch.manual_seed(0)
    made = nn.Linear(45, 13)
    quantizer = (
        None if activations == 32 else activation_quantizer(activations, signed=signed, shift_shape=(45,))
    )
    precision = Precision(bits, bits, activations, granularity)
    QuantizedLinear.convert(made, quantizer=weight_quantizer(precision, (13, 45)), activation=quantizer)
    assert isinstance(made, QuantizedLinear)
    if quantizer is not None:
        quantizer.calibrate(inputs(signed))
        for name, parameter in quantizer.named_parameters():
            if name != "log_step":
                parameter.data.add_(torch.randn(parameter.shape) * 0.05)
    return made


def inputs(signed: bool, shape: tuple[int, ...] = SHAPES[0]) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return x if signed else nn.functional.gelu(x)


def everything(made: QuantizedLinear, x: Tensor, chosen: Routines) -> dict[str, Tensor]:
    """The output and all gradients, by name, under these routines."""
    made.routines = chosen
    made.zero_grad()
    x = x.clone().requires_grad_()
    y = made(x)
    y.backward(torch.linspace(-1, 2, y.numel()).view_as(y))
    found = {name: parameter.grad for name, parameter in made.named_parameters()}
    return {"y": y.detach(), "x": x.grad, **found}  # type: ignore[dict-item]


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Relative to the largest value of each tensor: sums of many terms round by their terms' size."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        worst = float((found[name] - values).abs().max() / values.abs().max().clamp(min=1e-3))
        assert worst <= tolerance, f"{name}: {worst}"


@every_place
@every_threshold
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("bits", "activations"), WIDTHS)
def test_outputs_and_all_gradients_are_those_of_the_plain_layer(
    bits: int,
    activations: int,
    shape: tuple[int, ...],
    worth: int,
    signed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routines, "WORTH_ONEDNN", worth)
    made, x = layer(bits, activations, signed=signed), inputs(signed, shape)
    # 2e-5: a step's gradient sums terms that nearly cancel.
    assert_close(everything(made, x, FUSED), everything(made, x, PLAIN), 2e-5)


@every_threshold
@pytest.mark.parametrize("bits", [1, 8, 32])
def test_so_they_are_where_activations_stay_floats(
    bits: int, worth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routines, "WORTH_ONEDNN", worth)
    made, x = layer(bits, 32, signed=True), inputs(True)
    assert_close(everything(made, x, FUSED), everything(made, x, PLAIN), 1e-5)


@pytest.mark.parametrize("activations", [32, 8, 4, 1])
def test_so_they_are_with_one_scale_for_the_whole_matrix(activations: int) -> None:
    made, x = layer(1, activations, signed=True, granularity="matrix"), inputs(True)
    assert_close(everything(made, x, FUSED), everything(made, x, PLAIN), 2e-5)


@pytest.mark.parametrize("activations", [32, 8, 4, 1])
def test_with_bfloat16_gradients_the_forward_is_the_same_and_the_gradients_nearly(activations: int) -> None:
    made, x = layer(1, activations, signed=False), inputs(False)
    rounded, exact = everything(made, x, BFLOAT16), everything(made, x, FUSED)
    assert torch.equal(rounded.pop("y"), exact.pop("y"))
    # bfloat16 keeps 8 bits of each factor; the terms of a step's gradient nearly cancel.
    assert_close(rounded, exact, 5e-2)


@pytest.mark.parametrize(("bits", "activations"), WIDTHS)
def test_the_product_is_that_of_the_quantized_values(bits: int, activations: int) -> None:
    """In float64, where nothing is rounded that matters."""
    made, x = layer(bits, activations, signed=False), inputs(False)
    assert made.activation is not None
    assert made.quantizer is not None
    codes, weight = made.activation.encode(x), made.quantizer.quantize(made.weight)
    assert torch.equal(weight.values_OI, quantize_weight(made.weight, bits, "row").values_OI)
    assert torch.allclose(codes.values(), made.activation(x), atol=1e-7)
    expected = codes.values().double() @ weight.values_OI.double().t() + made.bias
    found = multiply(codes, weight, made.bias, largest=made.activation.largest, routines=FUSED)
    assert torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activations", [8, 4, 1])
def test_a_layer_without_int8_instructions_gives_the_same_bits(activations: int) -> None:
    made, x = layer(1, activations, signed=False), inputs(False)
    without = everything(made, x, replace(FUSED, vnni=False))
    assert all(torch.equal(tensor, without[name]) for name, tensor in everything(made, x, FUSED).items())


def test_what_watches_a_quantizer_sees_its_input() -> None:
    """Calibration does; the fused layer itself calls no quantizer."""
    made, x = layer(1, 8, signed=True), inputs(True)
    assert made.activation is not None
    seen: list[Tensor] = []
    made.activation.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    everything(made, x, FUSED)
    assert len(seen) == 1
    assert torch.equal(seen[0], x)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_whole_models_logits_are_nearly_the_plain_ones(bits: int) -> None:
    model = classifier(Precision(1, 1, bits))
    with torch.no_grad():
        fused = model(**batch()).logits
        routines.use(model, PLAIN)
        # A rounding difference may turn a code. With 1 bit some do, and a random model makes much of them.
        assert torch.allclose(fused, model(**batch()).logits, atol=1e-4)
