"""A narrower model holds the heads and neurons that matter, in their old order, and computes with those."""

import pytest
import torch
from tiny_model import batch, classifier, config, logits

from bitladder.modeling import checkpoint
from bitladder.modeling.bert import WIDTH_KEY, build_bert
from bitladder.modeling.share import num_kept
from pipeline.initialization.narrowing import Kept, importance, most_important, narrow_state

LABELS = torch.tensor([0, 1, 1, 0, 1])
LABELLED = {**batch(), "labels": LABELS}


def loss(model: torch.nn.Module, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    inputs = {name: tensor for name, tensor in rows.items() if name != "labels"}
    return torch.nn.functional.cross_entropy(model(**inputs).logits, rows["labels"])


def switched_off(model: torch.nn.Module, head: int | None, neuron: int | None) -> None:
    """Nothing reads this head or this neuron of the first layer any more."""
    layer = model.bert.encoder.layer[0]
    with torch.no_grad():
        if head is not None:
            layer.attention.output.dense.weight[:, head * 8 : head * 8 + 8] = 0
        if neuron is not None:
            layer.output.dense.weight[:, neuron] = 0


def test_the_derivative_is_that_of_the_loss_by_a_scale_on_the_head() -> None:
    model = classifier()
    heads_LH, _ = importance(model, [LABELLED], loss)
    weight = model.bert.encoder.layer[0].attention.output.dense.weight
    for head in range(4):
        losses = []
        for scale in (1.001, 0.999):
            with torch.no_grad():
                before = weight.clone()
                weight[:, head * 8 : head * 8 + 8] *= scale
                losses.append(float(loss(model, LABELLED)))
                weight.copy_(before)
        # Central difference in float32: the loss has 7 digits, the step is a thousandth.
        assert float(heads_LH[0, head]) == pytest.approx(abs(losses[0] - losses[1]) / 0.002, abs=2e-3)


def test_what_nothing_reads_matters_nothing() -> None:
    model = classifier()
    switched_off(model, head=2, neuron=5)
    heads_LH, neurons_LF = importance(model, [LABELLED, LABELLED], loss)
    assert (heads_LH.shape, neurons_LF.shape) == ((2, 4), (2, 45))
    assert (float(heads_LH[0, 2]), float(neurons_LF[0, 5])) == (0, 0)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_most_important_are_kept_in_their_old_order() -> None:
    heads_LH, neurons_LF = torch.tensor([[1.0, 4.0, 2.0, 3.0]]), torch.tensor([[5.0, 5.0, 5.0]])
    assert most_important(heads_LH, neurons_LF, num_heads=2, num_neurons=2) == Kept([[1, 3]], [[0, 1]])


def test_a_model_without_what_nothing_reads_computes_the_same() -> None:
    whole = classifier(intermediate_size=46)
    for layer in whole.bert.encoder.layer:
        with torch.no_grad():
            layer.attention.output.dense.weight[:, :16] = 0
            layer.output.dense.weight[:, ::2] = 0
    kept = Kept([[2, 3]] * 2, [list(range(1, 46, 2))] * 2)
    narrower = config(intermediate_size=46)
    setattr(narrower, WIDTH_KEY, 0.5)
    narrow = build_bert(narrower).eval()
    checkpoint.load_strictly(narrow, narrow_state(whole.state_dict(), kept, head_size=8), source="narrowed")
    assert torch.allclose(logits(narrow, batch()), logits(whole, batch()), atol=1e-5)


def test_a_width_keeps_a_whole_number() -> None:
    assert num_kept(12, 0.5, "heads") == 6
    assert num_kept(12, 1 / 3, "heads") == 4
    with pytest.raises(ValueError, match=r"width: 0.3 of 12 heads is 3.6; a whole number is needed"):
        num_kept(12, 0.3, "heads")
    with pytest.raises(ValueError, match="whole number"):
        num_kept(12, 1e-9, "heads")
