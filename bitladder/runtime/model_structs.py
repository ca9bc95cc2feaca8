"""A packed model as C structs of numbers and addresses, as the kernels read it. Its weights stay bits.

Shapes: O outputs, I inputs, B bytes per row of codes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitladder.packed import schema
from bitladder.packed.codes import FIVE_TRITS, as_two_bits
from bitladder.packed.reading import Arrays, Floats, step_of
from bitladder.packed.schema import Matrix
from bitladder.quantizers.precision import FULL
from bitladder.runtime.kernels import machine_code, memory_order, structs
from bitladder.runtime.kernels.engines import Engine

_ACTIVATIONS = {"gelu": structs.GELU, "relu": structs.RELU}
_SCRATCH_ROWS, _MORE = 48, 80 << 10  # outputs that are expanded at a time, and tables of a look-up


@dataclass(frozen=True)
class Rounding:
    """One activation quantizer.

    Attributes:
        kind: structs.PER_TOKEN, STEP or BITS.
        low, high: the smallest and the largest code.
        step: of the codes; 1 where each token has its own.
        signed: of BITS: -1 and +1; else 0 and 1.
        offset: where the lowest level lies.
        shift: of BITS, what is taken off per channel before; None for nothing.
    """

    kind: int
    low: float
    high: float
    step: np.float32 = np.float32(1)  # noqa: RUF009  # a number, and numbers do not change
    signed: bool = True
    offset: np.float32 = np.float32(0)  # noqa: RUF009
    shift: Floats | None = None

    def fill(self, struct: Any) -> None:
        """The fields that structs.PLACE and QUANTIZER share."""
        struct["quantizer"], struct["step"] = self.kind, self.step
        struct["low"], struct["high"] = self.low, self.high

    def shift_of(self, size: int) -> Floats:
        """Of so many channels."""
        return np.zeros(size, np.float32) if self.shift is None else self.shift


def read_rounding(arrays: Arrays, name: str, *, signed: bool = True, bits: int | None = None) -> Rounding:
    """The quantizer of that name; at 8 bits the file has nothing of it. `bits`: the model's unless given.

    What each does: quantizers/per_token.py at 8 bits, activation_lsq.py at 4 and 2, elastic.py at 1.
    """
    bits = bits or arrays.config.precision.activations
    if bits == FULL:
        return Rounding(structs.EXACT, 0, 0)
    if bits == 8:
        return Rounding(structs.PER_TOKEN, -127, 127)
    step = step_of(arrays, name)
    if bits == 1:
        shift = arrays.floats(f"{name}.shift").reshape(-1) if f"{name}.shift" in arrays else None
        return Rounding(structs.BITS, -1 if signed else 0, 1, step, signed, shift=shift)
    offset = arrays.floats(f"{name}.offset") if f"{name}.offset" in arrays else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    low = 0 if not signed else -2 if bits == 2 else -high
    return Rounding(structs.STEP, low, high, step, signed, np.float32(offset))


class ModelStructs:
    """Everything that `kernels.sequence.answer` is told of a model that `model.check_supported` lets pass.

    Attributes:
        model, lookups, places, quantizers, norms, pooler: as `answer` names them.
        bias: float32 [labels], of the head; empty where there is none.
    """

    def __init__(self, arrays: Arrays, engine: Engine, held: machine_code.Held = None) -> None:
        """`held`: the processor that machine code is made for, unless this one.

        Raises:
            FormatError: a tensor holds what packing cannot write.
            UnsupportedError: a product does not compile here.
        """
        self._arrays, self._config, self._engine, self._held = arrays, arrays.config, engine, held
        self._kept: list[Any] = []  # arrays whose addresses the structs have
        layers = self._config.num_hidden_layers
        self.model = np.zeros(1, structs.MODEL)
        self.lookups = np.zeros(3, structs.TABLE)
        self.places = np.zeros((layers, 6), structs.PLACE)
        self.quantizers = np.zeros((layers, 4), structs.QUANTIZER)
        self.norms = np.zeros((layers, 2), structs.NORMS)
        self.pooler = np.zeros(1, structs.PLACE)
        self._fill_tables()
        for layer in range(layers):
            self._fill_layer(layer)
        for one in schema.pooler(self._config):
            self._fill_place(self.pooler[0], [one])
        head = self._config.head
        self.bias = arrays.floats(f"{head.layer}.bias") if head.layer else np.zeros(0, np.float32)
        self._fill_model()
        del self._arrays

    @property
    def addresses(self) -> tuple[int, ...]:
        """The first arguments of `kernels.sequence.answer`."""
        every = (self.model, self.lookups, self.places, self.quantizers, self.norms, self.pooler)
        return (*(int(one.ctypes.data) for one in every), len(self.places))

    @property
    def rows(self) -> int:
        """Of a block."""
        return self._engine.rows

    @property
    def num_outputs(self) -> int:
        """Of the head, with what the kernels add."""
        return int(self.model[0]["num_outputs"])

    @property
    def size_bytes(self) -> int:
        """Of all arrays that the structs point to."""
        return sum({array.ctypes.data: array.nbytes for array in self._kept}.values())

    def _at(self, array: NDArray[Any]) -> int:
        """The address of an array that is kept, or of a copy without holes."""
        kept = np.ascontiguousarray(array)
        self._kept.append(kept)
        return int(kept.ctypes.data)

    def _fill_model(self) -> None:
        config, own, name = self._config, self.model[0], f"{schema.EMBEDDINGS}.LayerNorm"
        if config.head.layer:
            weight_OI = self._arrays.floats(f"{config.head.layer}.weight")
            padded_IO = np.pad(weight_OI.T, ((0, 0), (0, -len(weight_OI) % structs.HEAD_LANES)))
            own["head_at"], own["num_outputs"] = self._at(padded_IO), padded_IO.shape[1]
        own["hidden"], own["num_heads"] = config.hidden_size, config.num_attention_heads
        own["neurons"], own["activation"] = config.intermediate_size, _ACTIVATIONS[config.hidden_act]
        own["pooler_activation"] = _ACTIVATIONS.get(config.pooler_act or "", structs.PLAIN)
        own["is_pooled"], own["is_mean"] = config.head.has_pooler, config.head.reads == "mean"
        own["epsilon"] = config.layer_norm_eps
        own["norm_weight_at"] = self._at(self._arrays.floats(f"{name}.weight"))
        own["norm_bias_at"] = self._at(self._arrays.floats(f"{name}.bias"))
        own["ones_at"] = self._at(np.ones(config.max_position_embeddings, np.float32))
        of_keys = self._engine.for_bits(8)
        own["code_bytes"] = 4 if self._config.precision.activations == FULL else 1
        own["scores_at"], own["raised"] = machine_code.product(of_keys.name, 8, self._held), of_keys.raised
        largest = max(config.hidden_size, config.intermediate_size)
        panel = int(max(self.places["panel"].max(), self.pooler["panel"].max()))
        structs.lay_room(own, rows=self._engine.rows, panel=panel, scratch=_SCRATCH_ROWS * largest + _MORE)

    def _fill_tables(self) -> None:
        """Of quantized ones codes in whole bits, of which the kernels unpack the rows that are looked up."""
        config, bits = self._config, self._config.precision.embeddings
        for number, name in enumerate(table.name for table in schema.tables(config)):
            own = self.lookups[number]
            if bits == FULL:
                rows: NDArray[Any] = self._arrays.floats(f"{name}.weight")
            else:
                rows = self._arrays.bytes(name)
                if config.stored_bits(bits) == FIVE_TRITS:
                    rows = as_two_bits(rows, config.hidden_size)
                scale = self._arrays.floats(f"{name}{schema.SCALE}")
                own["scale_at"], own["scale_step"] = self._at(scale), int(len(scale) > 1)
            own["bits"], own["row_bytes"] = bits, rows.shape[1] * rows.itemsize
            own["rows_at"] = self._at(rows)

    def _fill_layer(self, layer: int) -> None:
        *heads, out, up, down = schema.linears(self._config, layer)
        # At 8 and 32 bits layers that read the same input make the same codes of it: they are one, if it
        # fits.
        are_alike = self._config.precision.activations in (8, FULL) and 3 * out.columns <= structs.LARGEST
        groups = [heads, [], []] if are_alike else [[one] for one in heads]
        for number, group in enumerate([*groups, [out], [up], [down]]):
            if group:
                self._fill_place(self.places[layer, number], group)
        for number, part in enumerate(schema.PRODUCTS):
            rounding = read_rounding(
                self._arrays, f"{schema.products(layer)}.{part}", signed=part != "probabilities"
            )
            own = self.quantizers[layer, number]
            rounding.fill(own)
            own["shift_at"] = self._at(rounding.shift_of(self._config.hidden_size))
        for number, norm in enumerate(schema.norms(layer)):
            for part in ("weight", "bias"):
                self.norms[layer, number][f"{part}_at"] = self._at(self._arrays.floats(f"{norm}.{part}"))

    def _fill_place(self, own: Any, group: list[Matrix]) -> None:
        """One place of layers that are computed side by side."""
        arrays, first = self._arrays, group[0]
        scale_O = np.concatenate(
            [np.broadcast_to(arrays.floats(f"{one.name}{schema.SCALE}"), one.rows) for one in group]
        )
        bits = self._config.precision.bits_of_activations(is_second=not first.signed)
        rounding = read_rounding(arrays, f"{first.name}.activation", signed=first.signed, bits=bits)
        rounding.fill(own)
        own["num_outputs"], own["num_inputs"] = len(scale_O), first.columns
        own["offset"] = rounding.offset
        own["threshold"], own["unit"] = (0, 1) if rounding.signed else (0.5, rounding.step)
        self._fill_product(own, group, rounding)
        own["shifted_at"] = self._at(self._shifted(group, scale_O, rounding))
        own["scale_at"] = self._at(scale_O * rounding.step)
        own["bias_at"] = self._at(np.concatenate([arrays.floats(f"{one.name}.bias") for one in group]))
        own["shift_at"] = self._at(rounding.shift_of(first.columns))

    def _fill_product(self, own: Any, group: list[Matrix], rounding: Rounding) -> None:
        """The machine code that multiplies, and the weights in its order."""
        bits = self._config.precision.weights
        engine = self._engine.for_bits(bits)
        raised = engine.raised if bits == 8 else 0
        name, (own["factor"], own["row_factor"]) = engine.name, memory_order.correction(bits, raised)
        if rounding.kind == structs.BITS:
            name = "differing" if rounding.signed else "common"
            if rounding.signed:
                own["factor"], own["row_factor"], own["constant"] = -2, 0, own["num_inputs"]
            weights = memory_order.for_popcount(self._bytes(group))
        elif rounding.kind == structs.EXACT:
            name, weights = "exact", memory_order.for_dot_products(self._bytes(group), bits)
        elif engine.bits == (1,):
            weights = memory_order.for_lookup(self._bytes(group))
        else:
            weights = memory_order.for_dot_products(self._bytes(group), bits, raised)
        own["multiply_at"] = machine_code.product(name, bits, self._held)
        own["panel"] = min(engine.panel or own["num_outputs"], own["num_outputs"])
        own["output_bytes"], own["weights_at"] = own["num_inputs"] * bits // 8, self._at(weights)

    def _bytes(self, group: list[Matrix]) -> NDArray[np.uint8]:
        """Their codes with a whole number of bits each."""
        found = np.concatenate([self._arrays.bytes(one.name) for one in group])
        stored_bits = self._config.stored_bits(self._config.precision.weights)
        return as_two_bits(found, group[0].columns) if stored_bits == FIVE_TRITS else found

    def _codes(self, group: list[Matrix]) -> NDArray[np.int8]:
        return np.concatenate([self._arrays.codes(one.name) for one in group])

    def _shifted(
        self, group: list[Matrix], scale_O: NDArray[np.float32], rounding: Rounding
    ) -> NDArray[np.float32]:
        """What the offset of the activations adds to each output."""
        if not rounding.offset:
            return np.zeros(len(scale_O), np.float32)
        sums_O = self._codes(group).sum(axis=1, dtype=np.int32).astype(np.float32)
        return np.asarray(sums_O * scale_O * rounding.offset)
