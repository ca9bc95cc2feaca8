"""Linear and embedding layers that hold codes and scales instead of weights.

The arithmetic is that of the trained layers in `modeling/layers.py`, to the last bit: the same operations on
the same codes and scales. No weight stays in memory as a float. What does:

    linear, quantized input, eval   the packed bytes and, once used, a byte per weight: int8_products.py
    linear, all else                the packed bytes; they are unpacked at use, and forgotten
    embedding                       the packed bytes; only rows that are looked up are unpacked

Shapes: O output features (entries of a table), I input features, B bytes per row of codes.
"""

from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear, WeightSplitLinear
from bitladder.modeling.linear import multiply
from bitladder.modeling.routines import product
from bitladder.packed.bits import num_bytes, unpack
from bitladder.quantizers.activation import Codes
from bitladder.quantizers.weight import Quantized, ScaleLayout
from bitladder.transformers_model import int8_products
from bitladder.transformers_model.int8_products import Unpacked


class Packed(nn.Module):
    """Codes [O, B] and their scales: [O] by row, [1] by matrix, [O, G] by group. Both are zero until they are
    loaded.

    `stored` are the bits that a code takes in a byte: see packing/bits.py.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, layout: ScaleLayout, *, stored: float) -> None:
        super().__init__()
        self.layout, self.bits, self.stored, self.num_columns = layout, layout.bits, stored, layout.num_inputs
        bytes_per_row = num_bytes(layout.num_inputs, stored)
        self.register_buffer("codes", torch.zeros(layout.num_outputs, bytes_per_row, dtype=torch.uint8))
        self.register_buffer("scale", torch.zeros(layout.scale_shape))

    def quantized(self, bytes_OB: Tensor, scale: Tensor) -> Quantized:
        """What these of its codes and scales stand for."""
        codes_OI = unpack(bytes_OB, self.stored, self.num_columns)
        return Quantized(codes_OI, scale.reshape(-1, self.layout.num_groups), self.layout.largest)

    def extra_repr(self) -> str:
        return str(self.layout)


class _Unpacked(NamedTuple):
    """What was unpacked, and from which codes."""

    codes: Tensor
    version: int | None
    made: Unpacked


class PackedLinear(Packed):
    """`x @ (codes * scale).T + bias`, the input quantized first where the trained layer did so."""

    def __init__(self, layer: QuantizedLinear, *, stored: float) -> None:
        assert layer.quantizer is not None
        super().__init__(layer.quantizer.layout, stored=stored)
        self.bias = layer.bias
        self.activation = layer.activation
        self.routines = layer.routines
        self._unpacked: _Unpacked | None = None

    def forward(self, input: Tensor) -> Tensor:
        quantizer = self.activation
        if self.routines.fused and quantizer is not None:
            return self.multiplied(quantizer.encode(input), largest=quantizer.largest)
        x = input if quantizer is None else quantizer(input)
        return product(x, self.weight().values_OI, self.bias, self.routines)

    def weight(self) -> Quantized:
        return self.quantized(self.codes, self.scale)

    def multiplied(self, codes: Codes, *, largest: int) -> Tensor:
        """The layer's output for an input that is quantized already."""
        if self.training:
            return multiply(codes, self.weight(), self.bias, largest=largest, routines=self.routines)
        scale_OG = self.scale.reshape(-1, self.layout.num_groups)
        options: Any = {"largest": largest, "routines": self.routines}
        return int8_products.multiply(codes, self.unpacked(), scale_OG, self.bias, **options)

    def unpacked(self) -> Unpacked:
        """The codes as int8, kept until they change, move, or the layer trains."""
        kept, version = self._unpacked, _version(self.codes)
        if kept is None or kept.codes is not self.codes or kept.version != version:
            made = int8_products.unpacked(self.weight())
            kept = self._unpacked = _Unpacked(self.codes, version, made)
        return kept.made

    def train(self, mode: bool = True) -> Self:
        if mode:
            self._unpacked = None
        return super().train(mode)

    def _apply(self, *arguments: Any, **options: Any) -> Any:
        self._unpacked = None  # it is of the device that the layer leaves
        return super()._apply(*arguments, **options)  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._unpacked = None
        super()._load_from_state_dict(*arguments)

    def __getstate__(self) -> dict[str, Any]:
        """Copies unpack by themselves."""
        return {**self.__dict__, "_unpacked": None}


class PackedSplitLinear(nn.Module):
    """The sum of two binary layers on the same quantized input."""

    def __init__(self, layer: WeightSplitLinear) -> None:
        super().__init__()
        self.first, self.second = (PackedLinear(half, stored=1) for half in (layer.first, layer.second))
        self.activation = layer.activation

    def forward(self, input: Tensor) -> Tensor:
        quantizer = self.activation
        if self.first.routines.fused and quantizer is not None:
            codes = quantizer.encode(input)
            first = self.first.multiplied(codes, largest=quantizer.largest)
            return first + self.second.multiplied(codes, largest=quantizer.largest)
        x = input if quantizer is None else quantizer(input)
        return cast("Tensor", self.first(x) + self.second(x))


class PackedEmbedding(Packed):
    """A table of which only the rows that are looked up are unpacked."""

    def __init__(self, layer: QuantizedEmbedding, *, stored: float) -> None:
        super().__init__(layer.quantizer.layout, stored=stored)

    def forward(self, input: Tensor) -> Tensor:
        entries_E = input.flatten()
        scale = self.scale if self.layout.granularity == "matrix" else self.scale[entries_E]
        values_EI = self.quantized(functional.embedding(entries_E, self.codes), scale).values_OI
        return values_EI.view(*input.shape, -1)


def _version(codes: Tensor) -> int | None:
    """Counts changes in place; there is none of tensors that were made in inference mode."""
    return None if codes.is_inference() else codes._version
