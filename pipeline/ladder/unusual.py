"""What tables say of a rung beside its bits: by these words two rungs of equal bits are told apart.

A quantizer's name is said where it is not the one that its width has by itself, a scale where not every row
has its own, a teacher where it is a rung.
"""

from collections.abc import Iterator

from bitladder.quantizers.names import ACTIVATIONS, WEIGHTS, usual
from pipeline.ladder.rung import TEACHER, LadderRung
from pipeline.record import SUMS_OF_TWO

FULL = 32
ATTENTION = {"bi": "Bi-Attention"}


def unusual(rung: LadderRung) -> list[str]:
    """`["bwn_zero_mean", "sign", "Bi-Attention"]`; nothing of a rung that has what its widths have."""
    shape = [f"width {rung.width:g}"] * (rung.width != 1) + [SUMS_OF_TWO] * rung.split
    return [*shape, *how_quantized(rung), *how_taught(rung)]


def how_quantized(rung: LadderRung) -> list[str]:
    """Quantizers, what shares a scale, attention, activation function."""
    return list(_how_quantized(rung))


def how_taught(rung: LadderRung) -> list[str]:
    """In phases, and by which rung."""
    phases = [f"{rung.phases} phases"] if rung.phases > 1 else []
    return phases + ([f"taught by {rung.taught_by}"] if rung.taught_by != TEACHER else [])


def _how_quantized(rung: LadderRung) -> Iterator[str]:
    if rung.weight_quantizer != usual(WEIGHTS, rung.weight_bits):
        yield rung.weight_quantizer
    if rung.granularity == "matrix":
        yield "a scale per matrix"
    if rung.group_size is not None:
        yield f"groups of {rung.group_size}"
    if rung.activation_bits != FULL and rung.activation_quantizer != usual(ACTIVATIONS, rung.activation_bits):
        yield str(rung.activation_quantizer)
    if rung.attention in ATTENTION:
        yield ATTENTION[rung.attention]
    if rung.hidden_act is not None:
        yield rung.hidden_act
