"""A frozen teacher computes the same as the model it was, only faster."""

from typing import Any

import pytest
import torch
from tiny_model import WEIGHTS_ONLY, WITH_ACTIVATIONS, batch, classifier
from torch import nn

from bitladder.modeling.bert import freeze
from bitladder.modeling.routines import NAMES, PLAIN, choose, use
from bitladder.modeling.traces import Trace, trace
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.weight import WeightQuantizer

RUNGS = (
    *WEIGHTS_ONLY,
    Precision(1, 1, split=True),
    Precision(2, 8, weight_quantizer="lat"),
    Precision(4, 4, weight_quantizer="lsq"),
    Precision(1, 1, weight_quantizer="bwn_zero_mean"),
)


def traces(gradients: Any) -> tuple[Trace, Trace]:
    model = classifier().requires_grad_(False)
    with torch.no_grad():
        before = trace(model, batch())
        freeze(model, choose(gradients, name="fused"))
        return before, trace(model, batch())


@pytest.mark.parametrize(("gradients", "tolerance"), [("float32", 1e-5), ("bfloat16", 3e-2)])
def test_logits_hidden_states_and_scores_stay(gradients: str, tolerance: float) -> None:
    """To rounding: float32 sums in another order, bfloat16 keeps 8 bits of what each linear reads."""
    before, after = traces(gradients)
    pairs = [(before.logits_BL, after.logits_BL)]
    pairs += zip(before.hidden_states, after.hidden_states, strict=True)
    pairs += zip(before.scores, after.scores, strict=True)
    for expected, found in pairs:
        assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def test_in_bfloat16_hidden_states_and_logits_are_still_float32() -> None:
    _, after = traces("bfloat16")
    assert {tensor.dtype for tensor in (after.logits_BL, *after.hidden_states)} == {torch.float32}


def test_the_plain_routines_leave_the_teacher_as_it_is() -> None:
    model = classifier()
    freeze(model, PLAIN)
    assert {type(part) for part in model.modules() if isinstance(part, nn.Linear)} == {nn.Linear}


def test_a_teacher_that_is_a_rung_keeps_its_quantized_layers() -> None:
    model = classifier(Precision(1, 1, 8)).requires_grad_(False)
    with torch.no_grad():
        before = model(**batch()).logits
        freeze(model, choose("bfloat16", name="fused"))
        assert torch.equal(model(**batch()).logits, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", [*RUNGS, *WITH_ACTIVATIONS], ids=str)
def test_a_teacher_that_is_a_rung_answers_to_the_last_bit(precision: Precision, name: str) -> None:
    model = classifier(precision).requires_grad_(False)
    routines = choose(name=name)
    use(model, routines)
    with torch.no_grad():
        before = trace(model, batch())
        freeze(model, routines)
        after = trace(model, batch())
    assert torch.equal(after.logits_BL, before.logits_BL)
    for expected, found in zip(before.hidden_states, after.hidden_states, strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("precision", RUNGS, ids=str)
def test_weights_that_meet_floats_are_quantized_once(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(precision).requires_grad_(False)
    freeze(model, choose(name="fused"))
    monkeypatch.setattr(WeightQuantizer, "quantize", None)
    with torch.no_grad():
        assert model(**batch()).logits.isfinite().all()
