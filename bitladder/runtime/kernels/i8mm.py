"""Products of int8 activations with weights of 1, 2, 4 or 8 bits by Arm's products of matrices (i8mm).

One instruction (smmla) multiplies 2 rows by 2 outputs over 8 inputs and adds to 2 by 2 sums: 32 products,
twice those of dotprod's. Two groups of 4 inputs that lie one after the other (expanding.py) are zipped, so
that the 8 inputs of an output are neighbours. A row that has no other beside it is multiplied twice, and its
second sums are left.
"""

from typing import Any

from llvmlite import ir

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.expanding import expanding
from bitladder.runtime.kernels.memory_order import DOT_GROUP as GROUP
from bitladder.runtime.kernels.memory_order import DOT_LANES as LANES
from bitladder.runtime.kernels.vector_ir import BYTES, I8, I32, I64, INTS, Code, Value, instruction

_FOUR, _BYTES16 = ir.VectorType(I32, 4), ir.VectorType(I8, 16)


def _zipped(code: Code, first: Value, second: Value) -> list[Value]:
    """Two groups of 16 outputs: of each pair of outputs 8 inputs."""
    ints = [code.builder.bitcast(group, INTS) for group in (first, second)]
    pairs = [
        code.shuffle(ints[0], [output, LANES + output, output + 1, LANES + output + 1], ints[1])
        for output in range(0, LANES, 2)
    ]
    return [code.builder.bitcast(pair, _BYTES16) for pair in pairs]


def _tile(pairs: int, *, single: bool = False) -> Any:
    """Of twice so many rows; `single`: of one row."""

    @instruction("void(uintp, intp, uintp, intp, uintp, intp)")
    def tile(code, codes, stride, weights, num_groups, sums, sums_stride):
        builder = code.builder

        def row(number: int, at: Value) -> Value:
            place = code.at(codes, code.times(stride, number), code.times(at, GROUP))
            return code.splat(code.load(place, I64), 2)

        def groups(at: Value, totals: list[Value]) -> list[Value]:
            found = [code.load(code.at(weights, code.times(at, 64), g * 64), BYTES, align=64) for g in (0, 1)]
            outputs, new = _zipped(code, *found), []
            for pair in range(pairs):
                both = row(2 * pair, at)
                if not single:
                    both = code.shuffle(both, [0, 2], row(2 * pair + 1, at))
                own = builder.bitcast(both, _BYTES16)
                for number, output in enumerate(outputs):
                    total = totals[pair * len(outputs) + number]
                    new.append(code.call("llvm.aarch64.neon.smmla.v4i32.v16i8", _FOUR, total, own, output))
            return new

        totals = code.loop(num_groups, 2, [code.constant(_FOUR, 0)] * (pairs * LANES // 2), groups)
        for number, total in enumerate(totals):
            pair, output = divmod(number, LANES // 2)
            for second in range(1 if single else 2):
                place = code.at(sums, code.times(sums_stride, (2 * pair + second) * 4), output * 8)
                code.store(code.shuffle(total, [2 * second, 2 * second + 1]), place)

    return tile


_four_rows, _two_rows, _one_row = _tile(2), _tile(1), _tile(1, single=True)


def product(bits: int) -> Any:
    """`multiply(codes, weights, sums, scratch, M, N, K)`, see products.py, for weights of so many bits."""
    expand: Any = expanding(bits) if bits < 8 else None

    @compiled
    def multiply(codes, weights, sums, scratch, num_rows, num_outputs, num_inputs):
        groups = num_inputs // GROUP
        for output in range(0, num_outputs, LANES):
            place, row = weights + output * num_inputs * bits // 8, 0
            if bits < 8:
                expand(place, scratch, groups)
                place = scratch
            while row < num_rows:
                source, target = codes + row * num_inputs, sums + (row * num_outputs + output) * 4
                if num_rows - row >= 4:
                    _four_rows(source, num_inputs, place, groups, target, num_outputs)
                    row += 4
                elif num_rows - row >= 2:
                    _two_rows(source, num_inputs, place, groups, target, num_outputs)
                    row += 2
                else:
                    _one_row(source, num_inputs, place, groups, target, num_outputs)
                    row += 1

    return multiply
