"""A packed model as records of addresses, which is what the kernels read. Its weights stay bits.

Shapes: O outputs, I inputs, B bytes per row of codes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitladder.packed.codes import unpack
from bitladder.packed.format import PackedConfig
from bitladder.runtime import layout, quantizers
from bitladder.runtime.kernels import engines, memory_order, structs
from bitladder.runtime.kernels.memory_order import Laid
from bitladder.runtime.layout import Linear
from bitladder.runtime.quantizers import Rounding
from bitladder.runtime.reading import Arrays

_DOTS = {1: structs.DOT_1, 2: structs.DOT_2, 4: structs.DOT_4, 8: structs.DOT_8}
_ACTIVATIONS = {"gelu": structs.GELU, "relu": structs.RELU}


class Records:
    """Everything that `kernels.sequence.answer` is told of a model.

    Attributes:
        model, lookups, places, quantizers, norms, pooler: as `answer` names them.
        bias: float32 [labels], of the head.
    """

    def __init__(self, arrays: Arrays, config: PackedConfig, engine: str) -> None:
        self._arrays, self._config, self._engine = arrays, config, engine
        self._kept: list[Any] = []  # arrays whose addresses the records have
        layers = config.num_hidden_layers
        self.model = np.zeros(1, structs.MODEL)
        self.lookups = np.zeros(3, structs.TABLE)
        self.places = np.zeros((layers, 6), structs.PLACE)
        self.quantizers = np.zeros((layers, 4), structs.QUANTIZER)
        self.norms = np.zeros((layers, 2), structs.NORMS)
        self.pooler = np.zeros(1, structs.PLACE)
        self._fill_tables()
        for layer in range(layers):
            self._fill_layer(layer)
        for one in layout.pooler(config):
            self._fill_place(self.pooler[0], [one])
        self.bias = arrays.floats(f"{layout.head(config)}.bias")
        self._fill_model()
        del self._arrays

    @property
    def addresses(self) -> tuple[int, ...]:
        """The first arguments of `kernels.sequence.answer`."""
        records = (self.model, self.lookups, self.places, self.quantizers, self.norms, self.pooler)
        return (*(int(one.ctypes.data) for one in records), len(self.places))

    @property
    def num_outputs(self) -> int:
        return int(self.model[0]["num_outputs"])

    @property
    def size_bytes(self) -> int:
        """Of all arrays that the records point to."""
        return sum({array.ctypes.data: array.nbytes for array in self._kept}.values())

    def _at(self, array: NDArray[Any]) -> int:
        """The address of an array that is kept, or of a copy without holes."""
        kept = np.ascontiguousarray(array)
        self._kept.append(kept)
        return int(kept.ctypes.data)

    def _fill_model(self) -> None:
        config, own, name = self._config, self.model[0], f"{layout.EMBEDDINGS}.LayerNorm"
        weight_OI = self._arrays.floats(f"{layout.head(config)}.weight")
        padded_IO = np.pad(weight_OI.T, ((0, 0), (0, -len(weight_OI) % structs.HEAD_LANES)))
        own["hidden"], own["num_heads"] = config.hidden_size, config.num_attention_heads
        own["neurons"], own["activation"] = config.intermediate_size, _ACTIVATIONS[config.hidden_act]
        own["is_pooled"], own["epsilon"] = not layout.is_answerer(config), config.layer_norm_eps
        own["head_at"], own["num_outputs"] = self._at(padded_IO), padded_IO.shape[1]
        own["norm_weight_at"] = self._at(self._arrays.floats(f"{name}.weight"))
        own["norm_bias_at"] = self._at(self._arrays.floats(f"{name}.bias"))
        own["ones_at"] = self._at(np.ones(config.max_position_embeddings, np.float32))

    def _fill_tables(self) -> None:
        bits = self._config.precision.embeddings
        numbers = (structs.WORD, structs.POSITION, structs.SEGMENT)
        for number, name in zip(numbers, layout.TABLES, strict=True):
            record, full = self.lookups[number], f"{layout.EMBEDDINGS}.{name}"
            is_full = bits == layout.FULL
            rows = self._arrays.floats(f"{full}.weight") if is_full else self._arrays.codes(full)
            record["bits"], record["row_bytes"] = bits, rows.shape[1] * rows.itemsize
            record["rows_at"] = self._at(rows)
            if not is_full:
                scale = self._arrays.floats(f"{full}.scale")
                record["scale_at"], record["scale_step"] = self._at(scale), int(len(scale) > 1)

    def _fill_layer(self, layer: int) -> None:
        linears = layout.layer_linears(self._config, layer)
        *heads, out, up, down = linears
        groups = [heads, [], []] if self._can_be_joined(heads) else [[one] for one in heads]
        for number, group in enumerate([*groups, [out], [up], [down]]):
            if group:
                self._fill_place(self.places[layer, number], group)
        name = f"bert.encoder.layer.{layer}.attention.self.products"
        for number, part in enumerate(layout.PRODUCTS):
            rounding = self._rounding(f"{name}.{part}", signed=part != "probabilities")
            record = self.quantizers[layer, number]
            rounding.fill(record)
            record["shift_at"] = self._at(self._shift(rounding, self._config.hidden_size))
        for number, norm in enumerate(layout.layer_norms(layer)):
            record = self.norms[layer, number]
            for part in ("weight", "bias"):
                record[f"{part}_at"] = self._at(self._arrays.floats(f"{norm}.{part}"))

    def _can_be_joined(self, group: list[Linear]) -> bool:
        """Whether layers that read the same input make the same codes of it, and fit together."""
        outputs = sum(one.num_outputs for one in group)
        return outputs <= structs.LARGEST and all(
            self._rounding(f"{one.name}.activation").is_alike for one in group
        )

    def _fill_place(self, record: Any, group: list[Linear]) -> None:
        """One place of layers that are computed side by side."""
        arrays, first = self._arrays, group[0]
        codes_OB = np.concatenate([arrays.codes(one.name) for one in group])
        scale_O = np.concatenate([arrays.scale(one.name, one.num_outputs) for one in group])
        rounding = self._rounding(f"{first.name}.activation", signed=first.signed)
        rounding.fill(record)
        record["num_outputs"], record["num_inputs"] = len(codes_OB), first.num_inputs
        record["offset"] = rounding.offset
        record["threshold"], record["unit"] = (0, 1) if rounding.signed else (0.5, rounding.step)
        record["product"], laid = self._laid(codes_OB, first.num_inputs, rounding)
        record["weights_at"], record["column_at"] = self._at(laid.words), self._at(laid.column)
        record["shifted_at"] = self._at(self._shifted(codes_OB, scale_O, first.num_inputs, rounding))
        record["scale_at"] = self._at(scale_O * rounding.step)
        record["bias_at"] = self._at(np.concatenate([arrays.floats(f"{one.name}.bias") for one in group]))
        record["shift_at"] = self._at(self._shift(rounding, first.num_inputs))

    def _rounding(self, name: str, *, signed: bool = True) -> Rounding:
        bits = self._config.precision.activations
        return quantizers.read(self._arrays, name, bits, signed=signed)

    def _laid(self, codes_OB: NDArray[np.uint8], num_inputs: int, rounding: Rounding) -> tuple[int, Laid]:
        """The way to multiply, and the weights in its order."""
        bits = self._config.precision.weights
        if rounding.kind == structs.BITS:
            product = structs.DIFFERING if rounding.signed else structs.COMMON
            return product, memory_order.stored_for_popcount(codes_OB)
        if bits == 1 and self._engine == engines.LOOKUP:
            return structs.LOOKUP, memory_order.stored_for_lookup(codes_OB)
        return _DOTS[bits], memory_order.for_dot_products(unpack(codes_OB, bits, num_inputs), bits)

    def _shifted(
        self, codes_OB: NDArray[np.uint8], scale_O: NDArray[np.float32], num_inputs: int, rounding: Rounding
    ) -> NDArray[np.float32]:
        """What the offset of the activations adds to each output."""
        if not rounding.offset:
            return np.zeros(len(codes_OB), np.float32)
        codes_OI = unpack(codes_OB, self._config.precision.weights, num_inputs)
        sums_O = codes_OI.sum(axis=1, dtype=np.int32).astype(np.float32)
        return np.asarray(sums_O * scale_O * rounding.offset)

    def _shift(self, rounding: Rounding, size: int) -> NDArray[np.float32]:
        return np.zeros(size, np.float32) if rounding.shift is None else rounding.shift
