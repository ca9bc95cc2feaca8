"""Steps set from data before training: all of them, once, from tokens and not from padding."""

import pytest
import torch
from tiny_model import batch, classifier, config, other_padding, wider
from torch import Tensor, nn

from bitladder.modeling.bert import build_bert
from bitladder.quantizers.precision import Precision
from pipeline.initialization.first_weights import of_quantizer
from pipeline.initialization.step_sizes import calibrate

BITS = pytest.mark.parametrize("bits", [4, 1])


def uncalibrated(bits: int) -> nn.Module:
    torch.manual_seed(0)
    return build_bert(config(), Precision(1, 1, bits))


def steps(bits: int, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    model = uncalibrated(bits)
    calibrate(model, inputs)
    return {name: tensor.clone() for name, tensor in model.state_dict().items() if of_quantizer(name)}


@BITS
def test_every_step_is_set_and_no_weight_is_touched(bits: int) -> None:
    model = uncalibrated(bits)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert calibrate(model, batch()) == 2 * 6 + 1 + 2 * 4  # linears, the pooler, both products
    for name, tensor in model.state_dict().items():
        if of_quantizer(name):
            assert tensor.isfinite().all(), name
        else:
            assert torch.equal(tensor, before[name]), name


@BITS
def test_without_calibration_the_logits_are_nan(bits: int) -> None:
    """A peer sets steps in the first forward and notes that in an attribute no checkpoint keeps."""
    model = uncalibrated(bits).eval()
    with torch.no_grad():
        assert model(**batch()).logits.isnan().all()


@BITS
def test_what_stands_in_the_padding_changes_no_step(bits: int) -> None:
    found, expected = steps(bits, other_padding(batch())), steps(bits, batch())
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@BITS
def test_more_padding_changes_no_step(bits: int) -> None:
    found, expected = steps(bits, wider(batch(), by=6)), steps(bits, batch())
    # Further on, one bit turns a wider product's other order of summation into another level.
    first = [name for name in expected if ".layer.0.attention.self." in name]
    assert len(first) >= 7
    for name in first:
        assert torch.allclose(found[name], expected[name], atol=1e-5), name


def test_steps_are_set_in_the_order_of_the_forward_from_inputs_already_rounded() -> None:
    model = uncalibrated(1)
    calibrate(model, batch())
    seen: dict[str, Tensor] = {}
    dense = model.bert.encoder.layer[1].intermediate.dense
    dense.activation.register_forward_pre_hook(lambda _, arguments: seen.update(x=arguments[0]))
    with torch.no_grad():
        model.eval()(**batch())
    tokens = seen["x"][batch()["attention_mask"].bool()]
    assert torch.allclose(dense.activation.shift, tokens.mean(dim=0), atol=1e-6)


def test_the_model_is_left_as_it_was_and_without_hooks() -> None:
    for training in (True, False):
        model = uncalibrated(4).train(training)
        calibrate(model, batch())
        assert model.training is training
        assert all(not part._forward_pre_hooks for part in model.modules())


def test_eight_bits_and_full_precision_have_nothing_to_set() -> None:
    assert not any(of_quantizer(name) for name in classifier(Precision(1, 1, 8)).state_dict())
    assert calibrate(classifier(Precision(1, 1)), batch()) == 0


@pytest.mark.parametrize(
    "precision",
    [Precision(1, 1), Precision(1, 1, 8), Precision(1, 1, 1, activation_quantizer="sign", attention="bi")],
)
def test_a_model_with_nothing_to_set_is_not_run(precision: Precision) -> None:
    model = build_bert(config(), precision)
    model.register_forward_pre_hook(lambda *_: pytest.fail("it was run"))
    calibrate(model, batch())


def test_the_moving_average_begins_with_the_tokens_and_not_with_the_padding() -> None:
    precision = Precision(1, 1, 8, activation_quantizer="min_max_ema")
    found = []
    for rows in (batch(), other_padding(batch())):
        torch.manual_seed(0)
        model = build_bert(config(), precision)
        calibrate(model, rows)
        found.append({name: t.clone() for name, t in model.state_dict().items() if of_quantizer(name)})
    assert all(tensor.isfinite() and tensor > 0 for tensor in found[0].values())
    assert found[0] == found[1]
