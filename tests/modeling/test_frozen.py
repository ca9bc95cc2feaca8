"""A frozen teacher computes the same as the model it was, only faster."""

from typing import Any

import pytest
import torch
from tiny_model import batch, classifier
from torch import nn

from pipeline.modeling import frozen
from pipeline.modeling.kernels import PLAIN, choose
from pipeline.modeling.traces import Trace, trace
from pipeline.quantizers.choose import Precision


def traces(gradients: Any) -> tuple[Trace, Trace]:
    model = classifier().requires_grad_(False)
    with torch.no_grad():
        before = trace(model, batch())
        frozen.convert(model, choose(gradients, name="fused"))
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


def test_the_plain_kernels_leave_the_teacher_as_it_is() -> None:
    model = classifier()
    frozen.convert(model, PLAIN)
    assert {type(part) for part in model.modules() if isinstance(part, nn.Linear)} == {nn.Linear}


def test_a_teacher_that_is_a_rung_keeps_its_quantized_layers() -> None:
    model = classifier(Precision(1, 1, 8)).requires_grad_(False)
    with torch.no_grad():
        before = model(**batch()).logits
        frozen.convert(model, choose("bfloat16", name="fused"))
        assert torch.equal(model(**batch()).logits, before)
