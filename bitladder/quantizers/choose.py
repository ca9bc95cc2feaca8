"""Which quantizer serves which matrix.

Adding a weight quantizer is one file beside this one and one line in `quantizer_names`: docs/quantizers.md.
"""

from importlib import import_module

from torch import Tensor

from bitladder.quantizers.names import WEIGHTS, usual
from bitladder.quantizers.precision import FULL, Granularity, Precision
from bitladder.quantizers.quantizer import Quantized
from bitladder.quantizers.weight import Layout, WeightQuantizer


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
    return build(precision.quantizer_of_weights(is_table=is_table), layout)


def build(name: str, layout: Layout) -> WeightQuantizer:
    """A weight quantizer by its name in `quantizer_names`."""
    made = import_module(f"bitladder.quantizers.{WEIGHTS[name].module}").build(layout)
    assert isinstance(made, WeightQuantizer)
    return made


def quantize_weight(
    weight_OI: Tensor, bits: int, granularity: Granularity, *, group_size: int | None = None
) -> Quantized:
    """By what is usual at this width: BWN at 1, TWN at 2, min-max at 4 and 8 bits. They keep nothing."""
    num_outputs, num_inputs = weight_OI.shape
    layout = Layout(bits, num_outputs, num_inputs, granularity, group_size)
    return build(usual(WEIGHTS, bits), layout).quantize(weight_OI)
