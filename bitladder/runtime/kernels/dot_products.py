"""Products of int8 activations with weights of 1, 2, 4 or 8 bits by a processor's products of bytes.

The weights stay as small in memory as they are. Those of a few outputs are expanded to bytes (expanding.py)
in a place that stays in the nearest memory, and multiplied by all rows of the block there. Tiles of rows and
outputs keep their sums in registers.
"""

from typing import Any

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.expanding import expanding
from bitladder.runtime.kernels.instructions import Instructions
from bitladder.runtime.kernels.memory_order import DOT_GROUP as GROUP
from bitladder.runtime.kernels.memory_order import DOT_LANES as LANES
from bitladder.runtime.kernels.vector_ir import BYTES, I32, INTS, Value, instruction

_NEAR = 192  # groups of inputs that are multiplied before the next ones: 36 KiB of 48 outputs


def _tile(own: Instructions, rows: int, vectors: int) -> Any:
    @instruction("void(uintp, intp, uintp, intp, intp, uintp, intp, intp)")
    def tile(code, activations, stride, weights, weights_stride, num_groups, sums, sums_stride, is_first):
        """sums [rows, 16 * vectors] = activations @ weights, or added to what is there."""

        def group(at: Value, totals: list[Value]) -> list[Value]:
            offset = code.times(at, 64)
            found = [
                code.load(code.at(weights, code.times(weights_stride, c), offset), BYTES, align=64)
                for c in range(vectors)
            ]
            new = []
            for row in range(rows):
                place = code.at(activations, code.times(stride, row), code.times(at, GROUP))
                four = own.spread(code, code.load(place, I32))
                for c in range(vectors):
                    before = (row * vectors + c) * count
                    new += own.add(code, totals[before : before + count], four, found[c])
            return new

        start = own.start(code)
        count = len(start)
        totals = code.loop(num_groups, 1, start * (rows * vectors), group)
        fresh = code.builder.icmp_signed("!=", is_first, code.whole(0))
        keep = code.splat(code.builder.select(fresh, code.constant(I32, 0), code.constant(I32, -1)), LANES)
        for number in range(rows * vectors):
            row, c = divmod(number, vectors)
            place = code.at(sums, code.times(sums_stride, row * 4), c * LANES * 4)
            total = own.total(code, totals[number * count : (number + 1) * count])
            old = code.builder.and_(keep, code.load(place, INTS))
            code.store(code.builder.add(total, old), place)

    return tile


def product(own: Instructions, bits: int) -> Any:
    """`multiply(codes, weights, sums, scratch, M, N, K)`, see products.py, for weights of so many bits."""
    expand: Any = expanding(bits) if bits < 8 else None
    largest, smaller, single = (*own.rows, 1)[:3]
    wide, chunk = own.vectors, min(own.groups, _NEAR)
    many, some, one = (_tile(own, rows, wide) for rows in (largest, smaller, single))
    many_narrow, some_narrow, one_narrow = (_tile(own, rows, 1) for rows in (largest, smaller, single))

    @compiled
    def multiply(codes, weights, sums, scratch, num_rows, num_outputs, num_inputs):
        groups, vectors = num_inputs // GROUP, num_outputs // LANES
        stride, vector = groups * 64, 0
        while vector < vectors:
            width = wide if vectors - vector >= wide else 1
            place = weights + vector * stride * bits // 8
            if bits < 8:
                expand(place, scratch, width * groups)
                place = scratch
            for first in range(0, groups, chunk):
                size, is_first, row = min(chunk, groups - first), int(first == 0), 0
                part = place + first * 64
                while row < num_rows:
                    left = num_rows - row
                    source = codes + row * num_inputs + first * GROUP
                    target = sums + (row * num_outputs + vector * LANES) * 4
                    if left >= largest:
                        row += largest
                        if width == wide:
                            many(source, num_inputs, part, stride, size, target, num_outputs, is_first)
                        else:
                            many_narrow(source, num_inputs, part, stride, size, target, num_outputs, is_first)
                    elif left >= smaller:
                        row += smaller
                        if width == wide:
                            some(source, num_inputs, part, stride, size, target, num_outputs, is_first)
                        else:
                            some_narrow(source, num_inputs, part, stride, size, target, num_outputs, is_first)
                    else:
                        row += 1
                        if width == wide:
                            one(source, num_inputs, part, stride, size, target, num_outputs, is_first)
                        else:
                            one_narrow(source, num_inputs, part, stride, size, target, num_outputs, is_first)
            vector += width

    return multiply
