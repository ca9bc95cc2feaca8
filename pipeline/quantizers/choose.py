"""Which quantizer serves which width, and what a whole model's widths are.

Adding a weight quantizer is one file beside this one and one line here.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from pipeline.quantizers.binary import binarize
from pipeline.quantizers.quantizer import Granularity, Quantized
from pipeline.quantizers.ternary import ternarize
from pipeline.quantizers.uniform import quantize_uniform

FULL = 32


@dataclass(frozen=True)
class Precision:
    """Bits of one model: `weights` (encoder, pooler), `embeddings` (tables), `activations`; 32: untouched.

    Attributes:
        split: every matrix and table is a sum of two binary ones: two codes of 1 bit per weight.
        group_size: neighbours within a row that share a scale, where granularity is group.
        weight_quantizer, activation_quantizer: by name; None for the width's own.
        attention: softmax, or bi for BiBERT's Bi-Attention.
    """

    weights: int = FULL
    embeddings: int = FULL
    activations: int = FULL
    granularity: Granularity = "row"
    split: bool = False
    group_size: int | None = None
    weight_quantizer: str | None = None
    activation_quantizer: str | None = None
    attention: Literal["softmax", "bi"] = "softmax"

    def as_dict(self) -> dict[str, Any]:
        """What is written of it: the bits and the granularity, of the others what is not as usual."""
        usual = asdict(Precision())
        always = ("weights", "embeddings", "activations", "granularity")
        return {n: value for n, value in asdict(self).items() if n in always or value != usual[n]}


def quantize_weight(weight_OI: Tensor, bits: int, granularity: Granularity) -> Quantized:
    """Quantize to 1 (BWN), 2 (TWN), 4 or 8 bits (uniform)."""
    if bits == 1:
        return binarize(weight_OI, granularity)
    if bits == 2:
        return ternarize(weight_OI, granularity)
    return quantize_uniform(weight_OI, bits, granularity)


def weight_quantizer_name(bits: int) -> str:
    return {1: "binary (BWN)", 2: "ternary (TWN)", FULL: "none"}.get(bits, f"uniform symmetric, {bits} bits")


def activation_quantizer_name(bits: int) -> str:
    return {
        1: "elastic binary, learned step and shift",
        4: "learned step (LSQ)",
        8: "symmetric per token, largest magnitude",
        FULL: "none",
    }[bits]
