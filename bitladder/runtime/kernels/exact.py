"""Products of float32 activations with weights of 1, 2, 4 or 8 bits, for models whose activations have 32.

The weights of 16 outputs are expanded, some inputs at a time, first to bytes, then to floats, in a place
that stays in the nearest memory, and multiplied by all rows of the block there.
"""

from typing import Any

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.expanding import expanding
from bitladder.runtime.kernels.memory_order import DOT_GROUP as GROUP
from bitladder.runtime.kernels.memory_order import DOT_LANES as LANES
from bitladder.runtime.kernels.memory_order import correction
from bitladder.runtime.kernels.vector_ir import F32, FLOATS, I32, INTS, Code, Value, instruction

_ROWS = 6
_NEAR = 256  # inputs that are multiplied before the next ones: 16 KiB of floats


def _to_floats(bits: int) -> Any:
    @instruction("void(uintp, uintp, intp)")
    def to_floats(code: Code, expanded: Value, found: Value, num_groups: Value) -> None:
        """[K / 4, 16, 4] bytes to floats [K, 16] of the codes that they stand for."""
        builder = code.builder
        factor, offset = correction(bits)

        def group(at: Value, _: list[Value]) -> list[Value]:
            four = code.load(code.at(expanded, code.times(at, 64)), INTS)
            for number in range(GROUP):
                # The byte, with its sign.
                raised = builder.shl(four, code.constant(INTS, 24 - 8 * number))
                byte = builder.ashr(raised, code.constant(INTS, 24))
                whole = builder.add(
                    builder.mul(byte, code.constant(INTS, factor)), code.constant(INTS, offset)
                )
                place = code.at(found, code.times(at, GROUP * LANES * 4), number * LANES * 4)
                code.store(builder.sitofp(whole, FLOATS), place, align=64)
            return []

        code.loop(num_groups, 1, [], group)

    return to_floats


def _tile(rows: int) -> Any:
    @instruction("void(uintp, intp, uintp, intp, uintp, intp, intp)")
    def tile(code, activations, stride, weights, size, sums, sums_stride, is_first):
        """sums [rows, 16] = activations [rows, size] @ weights [size, 16], or added to what is there."""
        builder = code.builder
        fresh = builder.icmp_signed("!=", is_first, code.whole(0))
        keep = code.splat(builder.select(fresh, code.constant(I32, 0), code.constant(I32, -1)), LANES)
        places = [code.at(sums, code.times(sums_stride, row * 4)) for row in range(rows)]
        before = [builder.bitcast(builder.and_(keep, code.load(place, INTS)), FLOATS) for place in places]

        def term(at: Value, totals: list[Value]) -> list[Value]:
            found = code.load(code.at(weights, code.times(at, LANES * 4)), FLOATS, align=64)
            for row in range(rows):
                place = code.at(activations, code.times(stride, row * 4), code.times(at, 4))
                totals[row] = code.fused(code.splat(code.load(place, F32), LANES), found, totals[row])
            return totals

        for total, place in zip(code.loop(size, 1, before, term), places, strict=True):
            code.store(total, place)

    return tile


_many, _one = _tile(_ROWS), _tile(1)


def product(bits: int) -> Any:
    """`multiply(rows, weights, sums, scratch, M, N, K)`, see products.py, for weights of so many bits."""
    expand: Any = expanding(bits) if bits < 8 else None
    to_floats = _to_floats(bits)

    @compiled
    def multiply(rows, weights, sums, scratch, num_rows, num_outputs, num_inputs):
        floats = scratch + _NEAR * LANES
        for output in range(0, num_outputs, LANES):
            for first in range(0, num_inputs, _NEAR):
                size, is_first, row = min(_NEAR, num_inputs - first), int(first == 0), 0
                place = weights + (output * num_inputs + first * LANES) * bits // 8
                if bits < 8:
                    expand(place, scratch, size // GROUP)
                    place = scratch
                to_floats(place, floats, size // GROUP)
                while row < num_rows:
                    source = rows + (row * num_inputs + first) * 4
                    target = sums + (row * num_outputs + output) * 4
                    if num_rows - row >= _ROWS:
                        _many(source, num_inputs, floats, size, target, num_outputs, is_first)
                        row += _ROWS
                    else:
                        _one(source, num_inputs, floats, size, target, num_outputs, is_first)
                        row += 1

    return multiply
