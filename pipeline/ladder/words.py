"""Rungs in words, beside their bits: by these, two rungs of equal bits are told apart in every table.

A quantizer is named where it is not the usual one at its bits, a scale where not every row has its own, a
teacher where it is a rung.
"""

from collections.abc import Iterator

from bitladder.quantizers.names import ACTIVATIONS, WEIGHTS, usual
from bitladder.quantizers.precision import FULL
from pipeline.parts import lies_within
from pipeline.record import SUMS_OF_TWO
from pipeline.rungs import ROOTS, ROW_SCALE_BITS, Duration, Rung

ATTENTION = {"bi": "Bi-Attention"}


def unusual(rung: Rung) -> list[str]:
    """`["bwn_zero_mean", "sign", "Bi-Attention"]`; nothing of a rung that has what is usual at its bits."""
    return [*_form(rung), *how_quantized(rung), *how_taught(rung)]


def first_weights(rung: Rung) -> str:
    """Where they come from, in a few words: `random: encoder; copied: encoder.ffn1`."""
    copied = [  # what would not be copied from the parent without being named
        f"{selector} (teacher)" if origin.copy_from else selector
        for selector, origin in rung.init.items()
        if not origin.is_drawn
        and (origin.copy_from or any(lies_within(selector, wider) for wider in rung.drawn))
    ]
    parts = [("random", rung.drawn), ("copied", copied)]
    said = [f"{how}: {', '.join(selectors)}" for how, selectors in parts if selectors]
    if rung.reconstruct:
        said = [*(said or ["copied"]), f"reconstructed in {rung.reconstruct} steps a block"]
    return "; ".join((", ".join((*(said[:1] or ["copied"]), *_form(rung, "split"))), *said[1:]))


def how_quantized(rung: Rung) -> Iterator[str]:
    """Quantizers, what shares a scale, attention, activation function."""
    precision = rung.precision
    if precision.quantizer_of_weights() != usual(WEIGHTS, precision.weights):
        yield precision.quantizer_of_weights()
    if precision.granularity == "matrix":
        yield "a scale per matrix"
    if precision.group_size is not None:
        yield f"groups of {precision.group_size}"
    if precision.granularity == "row" and precision.scale_bits != ROW_SCALE_BITS:
        yield f"scales of {precision.scale_bits} bits"
    activations, quantizer = precision.activations, precision.quantizer_of_activations()
    if activations != FULL and quantizer != usual(ACTIVATIONS, activations):
        yield quantizer
    if precision.feed_forward_activations is not None:
        yield f"{precision.feed_forward_activations} bits into the second feed-forward product"
    if precision.attention in ATTENTION:
        yield ATTENTION[precision.attention]
    if rung.hidden_act is not None:
        yield rung.hidden_act


def how_taught(rung: Rung) -> list[str]:
    """In phases, and by which rung."""
    phases = [f"{len(rung.phases)} phases"] if len(rung.phases) > 1 else []
    return phases + ([f"taught by {rung.taught_by}"] if rung.taught_by not in ROOTS else [])


def said(duration: Duration) -> str:
    """`400 steps` or `3 epochs`."""
    count, unit = (duration.steps, "step") if duration.steps is not None else (duration.epochs, "epoch")
    return f"{count:g} {unit}" + ("" if count == 1 else "s")


def _form(rung: Rung, split: str = SUMS_OF_TWO) -> list[str]:
    return [f"width {rung.width:g}"] * (rung.width != 1) + [split] * rung.split
