"""The activation quantizers of docs/file-format.md as nodes: whole numbers, and what they stand for.

A value x stands as `codes * step + offset`. The codes are to be had as float32, or as bytes of which ZERO
stands for 0.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bitladder.exporting.graph import Graph
from bitladder.packed.reading import Arrays, step_of

Sort = Literal["centred", "after GELU", "from zero"]
ZERO = 128
_TINY = np.float32(2.0**-126)
_CENTRED = {8: (-127, 127), 4: (-7, 7), 2: (-2, 1)}
_FROM_ZERO = {8: (0, 127), 4: (0, 15), 2: (0, 3)}


@dataclass(frozen=True)
class Rounded:
    """Values as they are, for 32-bit activations.

    Attributes:
        value: what is rounded.
        step: one number, or a tensor's name: each token has its own.
    """

    value: str
    step: np.float32 | str = np.float32(1)  # noqa: RUF009  # a number, and numbers do not change
    offset: np.float32 = np.float32(0)  # noqa: RUF009

    @property
    def is_exact(self) -> bool:
        """Nothing is rounded."""
        return type(self) is Rounded

    def whole(self, graph: Graph) -> str:
        """The codes, float32."""
        return self.value

    def bytes(self, graph: Graph) -> str:
        """The codes as uint8."""
        raise AssertionError("values that are not rounded are no whole numbers")

    def times_step(self, graph: Graph, value: str) -> str:
        """What a product of the codes stands for, but for the offset."""
        if isinstance(self.step, str):
            return graph.add("Mul", value, self.step)
        return value if self.step == 1 else graph.add("Mul", value, graph.number(self.step))

    def values(self, graph: Graph) -> str:
        """What the codes stand for; of quantizers without an offset."""
        assert not self.offset
        return self.times_step(graph, self.whole(graph))


@dataclass(frozen=True)
class PerToken(Rounded):
    """From -127 to 127, by the largest of each token."""

    def whole(self, graph: Graph) -> str:
        assert isinstance(self.step, str)
        return graph.add("Round", graph.add("Div", self.value, self.step))

    def bytes(self, graph: Graph) -> str:
        """A row a token for a moment, so that the operator takes a step for each."""
        assert isinstance(self.step, str)
        steps = graph.reshape(self.step, -1)
        zeros = graph.add("Expand", graph.byte(ZERO), graph.add("Shape", steps))
        shape = graph.add("Shape", self.value)
        last = graph.add("Gather", shape, graph.whole(-1))
        rows = graph.add("Reshape", self.value, graph.add("Concat", graph.whole(-1), last, axis=0))
        return graph.add("Reshape", graph.add("QuantizeLinear", rows, steps, zeros, axis=0), shape)


@dataclass(frozen=True)
class Stepped(Rounded):
    """By a step of the layer's own, within limits. `value` has lost the offset."""

    limits: tuple[int, int] = (-127, 127)

    def whole(self, graph: Graph) -> str:
        scaled = graph.add("Div", self.value, graph.number(float(self.step)))
        return graph.add("Round", graph.add("Clip", scaled, *map(graph.number, self.limits)))

    def bytes(self, graph: Graph) -> str:
        found = graph.add("QuantizeLinear", self.value, graph.number(float(self.step)), graph.byte(ZERO))
        return graph.add("Clip", found, *(graph.byte(ZERO + limit) for limit in self.limits))


@dataclass(frozen=True)
class Bits(Rounded):
    """1 where `value` is true, else `low`."""

    low: int = -1

    def whole(self, graph: Graph) -> str:
        return graph.add("Where", self.value, graph.number(1), graph.number(self.low))

    def bytes(self, graph: Graph) -> str:
        return graph.add("Where", self.value, graph.byte(ZERO + 1), graph.byte(ZERO + self.low))


def rounded(
    graph: Graph, arrays: Arrays, name: str, value: str, *, kind: str, bits: int, sort: Sort
) -> Rounded:
    """`value` by the quantizer of this name and kind; "none": as it is."""
    match kind:
        case "none":
            return Rounded(value)
        case "per_token":
            return PerToken(value, _step_of_each(graph, value, sort))
        case "min_max_ema":
            step = np.maximum(arrays.floats(f"{name}.magnitude"), 127 * _TINY) / np.float32(127)
            return Stepped(value, np.float32(step))
        case "lsq":
            offset = np.float32(arrays.floats(f"{name}.offset")) if sort == "after GELU" else np.float32(0)
            limits = (_CENTRED if sort == "centred" else _FROM_ZERO)[bits]
            return Stepped(_less(graph, value, offset), step_of(arrays, name), offset, limits)
        case "elastic":
            return _elastic(graph, arrays, name, value, sort)
    assert kind == "sign"
    return Bits(_at_least(graph, value, np.float32(0)))


def _step_of_each(graph: Graph, value: str, sort: Sort) -> str:
    size = value if sort == "from zero" else graph.add("Abs", value)
    largest = graph.add("ReduceMax", size, graph.whole(-1), keepdims=1)
    return graph.add("Div", graph.add("Clip", largest, graph.number(127 * _TINY)), graph.number(127))


def _elastic(graph: Graph, arrays: Arrays, name: str, value: str, sort: Sort) -> Rounded:
    step = step_of(arrays, name)
    shift = np.float32(0) if sort == "from zero" else arrays.floats(f"{name}.shift")
    if sort == "centred":
        return Bits(_at_least(graph, value, shift), step)
    scaled = graph.add("Div", _less(graph, value, shift), graph.number(step))
    return Bits(_at_least(graph, scaled, np.float32(0.5)), step, low=0)


def _at_least(graph: Graph, value: str, least: NDArray[np.float32] | np.float32) -> str:
    return graph.add("GreaterOrEqual", value, graph.floats(np.asarray(least, np.float32)))


def _less(graph: Graph, value: str, shift: NDArray[np.float32] | np.float32) -> str:
    if not np.any(shift):
        return value
    return graph.add("Sub", value, graph.floats(np.asarray(shift, np.float32)))
