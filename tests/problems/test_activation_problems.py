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
            f"{QUANTIZER}: lsq needs activation_bits 2, 4, 8, not 1; for 1: elastic, sign",
        ),
        (
            [("weights_activations.w1a8.activation_quantizer", "sign")],
            "weights_activations.w1a8.activation_quantizer: sign needs activation_bits 1, not 8; "
            "for 8: per_token, min_max_ema, lsq",
        ),
        (
            [("weights_activations.w1a4.attention", "bi")],
            "weights_activations.w1a4.attention: bi needs activation_bits 1, not 4; "
            "write softmax, or activation_bits: 1",
        ),
        (
            [(QUANTIZER, "sign")],
            f"{QUANTIZER}: sign makes everything that softmax puts out the same; write "
            "attention: bi, or choose elastic",
        ),
        (
            [(QUANTIZER, "sign"), (ATTENTION, "bi"), (f"{FIRST}.hidden_act", "relu")],
            f"{FIRST}.hidden_act: relu puts out nothing negative, and sign makes "
            "all of that the same; write gelu",
        ),
        (
            [(f"{FIRST}.hidden_act", "silu")],
            f"{FIRST}.hidden_act: 'silu' is not allowed; allowed: gelu, relu",
        ),
        (
            [(f"{FIRST}.feed_forward_activation_bits", 1)],
            f"{FIRST}.feed_forward_activation_bits: 1, and so is activation_bits; write another",
        ),
        (
            [
                ("weights_activations.w1a4.feed_forward_activation_bits", 2),
                (f"{FIRST}.feed_forward_activation_bits", 8),
            ],
            f"{FIRST}.feed_forward_activation_bits: 8 is more than its parent w1a4 has; write at most 2",
        ),
        (
            [("weights.w1.width", 0.5), ("weights.w1.init", {"method": "reconstruct"})],
            "weights.w1.init.method: reconstruct needs the teacher's width, and width is 0.5; write round",
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
