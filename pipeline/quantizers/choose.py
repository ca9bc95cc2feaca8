"""Which quantizer serves which matrix, and what a whole model's widths are.

Adding a weight quantizer is one file beside this one and one line in `quantizer_names`: docs/quantizers.md.
"""

from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Literal

from torch import Tensor

from pipeline.quantizer_names import ACTIVATIONS, WEIGHTS, serving_or_usual, usual
from pipeline.quantizers.quantizer import Granularity, Quantized
from pipeline.quantizers.weight import Layout, WeightQuantizer

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


def weight_quantizer(
    precision: Precision, shape_OI: tuple[int, int], *, is_table: bool = False
) -> WeightQuantizer | None:
    """The quantizer of one matrix or table of a model; None at 32 bits.

    Raises:
        ValueError: groups of the precision's size do not fill a row.
    """
    bits = precision.embeddings if is_table else precision.weights
    if bits == FULL:
        return None
    layout = Layout(bits, *shape_OI, precision.granularity, precision.group_size)
    return build(weight_quantizer_name(precision, is_table=is_table), layout)


def weight_quantizer_name(precision: Precision, *, is_table: bool = False) -> str:
    """Which one a model's matrices or tables have: that of its precision where it serves their width."""
    bits = precision.embeddings if is_table else precision.weights
    return "none" if bits == FULL else serving_or_usual(WEIGHTS, precision.weight_quantizer, bits)


def build(name: str, layout: Layout) -> WeightQuantizer:
    """A weight quantizer by its name in `quantizer_names`."""
    made = import_module(f"pipeline.quantizers.{WEIGHTS[name].module}").build(layout)
    assert isinstance(made, WeightQuantizer)
    return made


def quantize_weight(
    weight_OI: Tensor, bits: int, granularity: Granularity, *, group_size: int | None = None
) -> Quantized:
    """By what is usual at this width: BWN at 1, TWN at 2, min-max at 4 and 8 bits. They keep nothing."""
    num_outputs, num_inputs = weight_OI.shape
    layout = Layout(bits, num_outputs, num_inputs, granularity, group_size)
    return build(usual(WEIGHTS, bits), layout).quantize(weight_OI)


def activation_quantizer_name(precision: Precision) -> str:
    """Which one a model's activations have."""
    if precision.activations == FULL:
        return "none"
    return precision.activation_quantizer or usual(ACTIVATIONS, precision.activations)
