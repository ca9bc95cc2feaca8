"""Gradual quantization: a mixture in training, quantized whole in evaluation."""

import pytest
import torch
from tiny_model import WEIGHTS_ONLY, WITH_ACTIVATIONS, classifier
from tiny_rung import batch
from torch import Tensor, nn

from bitladder.modeling import routines
from bitladder.modeling.bert import build_bert
from bitladder.quantizers.gradual import partly, set_share
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.weight import ScaleLayout, build
from pipeline.training.gradually import growth

# Signs of scores have no latent model; moving averages move while they are compared.
COMPARABLE = [
    precision
    for precision in (*WEIGHTS_ONLY, *WITH_ACTIVATIONS)
    if precision.attention == "softmax" and precision.activation_quantizer != "min_max_ema"
]


def logits(model: nn.Module) -> Tensor:
    rows = batch()
    rows.pop("labels", None)
    with torch.no_grad():
        found: Tensor = model(**rows).logits
    return found


def training(precision: Precision) -> nn.Module:
    """A quantized classifier in training, without dropout."""
    model = classifier(precision)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    routines.use(model, routines.PLAIN)
    return model.train()


def test_a_mixture_worked_by_hand() -> None:
    # One row, BWN: its scale is the mean magnitude 2, so that Q is (2, -2); a quarter of the way there.
    quantizer = build("bwn", ScaleLayout(1, 1, 2)).train()
    weight = torch.tensor([[1.0, -3.0]], requires_grad=True)
    set_share(quantizer, 0.25)
    found = partly(quantizer, weight)
    assert found.tolist() == [[1.25, -2.75]]
    found.sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1.0, 1.0]]  # straight through, whatever the share
    assert partly(quantizer.eval(), weight).tolist() == [[2.0, -2.0]]


@pytest.mark.parametrize("precision", COMPARABLE, ids=str)
def test_no_share_is_the_latent_model_and_the_whole_is_the_quantized_one(precision: Precision) -> None:
    model = training(precision)
    quantized = logits(model)
    set_share(model, 0.0)
    latent = build_bert(classifier().config)
    latent.load_state_dict({name: model.state_dict()[name] for name in latent.state_dict()})
    torch.testing.assert_close(logits(model), logits(latent.eval()), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits(model), quantized)
    set_share(model, 1.0)
    assert torch.equal(logits(model), quantized)


def test_evaluation_never_sees_a_mixture() -> None:
    model = training(Precision(1, 1, 4))
    whole = logits(model.eval())
    set_share(model, 0.3)
    assert torch.equal(logits(model), whole)


def test_the_share_grows_step_by_step_and_whole_numbers_follow_when_it_is_whole() -> None:
    model, chosen = classifier(Precision(1, 1, 8)), routines.choose()
    before = growth(model, num_steps=4, chosen=chosen)
    assert before is not None
    layer = model.bert.encoder.layer[0].output.dense
    shares, ways = [], []
    for step in range(1, 6):
        before(step)
        shares.append(layer.quantizer.share)
        ways.append(layer.routines)
    assert shares == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert ways == [routines.PLAIN] * 3 + [chosen] * 2


def test_nothing_grows_in_no_steps() -> None:
    assert growth(classifier(), num_steps=0, chosen=routines.PLAIN) is None
