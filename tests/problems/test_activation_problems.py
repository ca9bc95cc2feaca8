"""How activations are quantized: names that do not exist or do not fit the bits, signs of what has none."""

import pytest
from changed_params import Change, Refusals

FIRST = "weights_activations.w1a1"
QUANTIZER, ATTENTION = f"{FIRST}.activation_quantizer", f"{FIRST}.attention"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            [(QUANTIZER, "elastik")],
            f"{QUANTIZER}: no activation quantizer 'elastik'; did you mean 'elastic'? "
            "for activation_bits 1: elastic, sign",
        ),
        (
            [(QUANTIZER, "lsq")],
            f"{QUANTIZER}: lsq serves activation_bits 2, 4, 8, not 1; for 1: elastic, sign",
        ),
        (
            [("weights_activations.w1a8.activation_quantizer", "sign")],
            "weights_activations.w1a8.activation_quantizer: sign serves activation_bits 1, not 8; "
            "for 8: per_token, min_max_ema, lsq",
        ),
        (
            [("weights_activations.w1a4.attention", "bi")],
            "weights_activations.w1a4.attention: bi attends by signs, and activation_bits is 4; "
            "softmax, or 1 bit",
        ),
        (
            [(QUANTIZER, "sign")],
            f"{QUANTIZER}: sign makes 1 of everything a softmax puts out; write attention: bi, or "
            "take elastic",
        ),
        (
            [(QUANTIZER, "sign"), (ATTENTION, "bi"), (f"{FIRST}.hidden_act", "relu")],
            f"{FIRST}.hidden_act: relu puts out nothing negative, of which sign makes 1; gelu, or elastic",
        ),
        (
            [(f"{FIRST}.hidden_act", "silu")],
            f"{FIRST}.hidden_act: 'silu' is not allowed; allowed: gelu, relu",
        ),
        (
            [(ATTENTION, "softmac")],
            f"{ATTENTION}: 'softmac' is not allowed; did you mean 'softmax'? allowed: softmax, bi",
        ),
        (
            [("weights.w1.activation_quantizer", "lsq")],
            "weights.w1.activation_quantizer: unknown key",
        ),
    ],
)
def test_each_is_refused_with_what_would_do(refusals: Refusals, changes: list[Change], expected: str) -> None:
    found = refusals(*changes)
    assert any(problem.startswith(expected) for problem in found), found


@pytest.mark.parametrize(
    "changes",
    [
        [(QUANTIZER, "sign"), (ATTENTION, "bi")],
        [(ATTENTION, "bi"), (f"{FIRST}.hidden_act", "relu")],
        [("weights_activations.w1a8.activation_quantizer", "min_max_ema")],
        [("weights_activations.w1a4.activation_bits", 2)],
        [("weights.w1.hidden_act", "relu")],
    ],
)
def test_what_fits_is_accepted(refusals: Refusals, changes: list[Change]) -> None:
    assert refusals(*changes) == []
