"""What follows a product of whole numbers: floats of it, and bias, GELU, ReLU or the residual.

The arithmetic is that of the trained layers in bitladder/modeling/linear.py, in the same order, so that an
output is the same float. Several rows go together: what an output has of its own is read once for all.
"""

import math
from typing import Any

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.rows import load_row, place, polynomial
from bitladder.runtime.kernels.structs import GELU, PLAIN, RELU
from bitladder.runtime.kernels.vector_ir import F32, FLOATS, I32, INTS, LANES, Code, Value, instruction

_ROWS = 4  # rows that are finished together
# erf(x) = x P(x^2) / Q(x^2) for |x| <= 4, beyond which it is 1 in float32 (Eigen's coefficients).
_P = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_Q = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
# The same for erf(y / sqrt 2) / 2 as y P(y^2) / Q(y^2): the roots of a half are in the factors.
_ABOVE = tuple(factor * 0.5**1.5 * 0.5**power for power, factor in zip(range(6, -1, -1), _P, strict=True))
_BELOW = tuple(factor * 0.5**power for power, factor in zip(range(4, -1, -1), _Q, strict=True))
_END = 4 * math.sqrt(2)


def _finishing(activation: int, *, residual: bool) -> Any:
    """`finish(sums, out, other, ...)`: out = what follows of whole numbers; all but the last five addresses.

    out = activation((factor * sums + added + column) * step * scale + shifted + bias) (+ other).
    sums, out, other: [M, N], out and other of rows that are `stride` floats apart; added (int32) and steps:
    [M]; column, scale, shifted, bias: [N].
    """
    several, single = (_tile(activation, rows, residual=residual) for rows in (_ROWS, 1))

    @compiled
    def finish(
        sums, out, other, added, steps, column, scale, shifted, bias,
        size, out_stride, other_stride, factor, num_rows,
    ):  # fmt: skip
        shared = (column, scale, shifted, bias, size, out_stride, other_stride, factor)
        row = 0
        while row < num_rows:
            places = (sums + row * size * 4, out + row * out_stride * 4, other + row * other_stride * 4)
            of_rows = (added + row * 4, steps + row * 4)
            if num_rows - row >= _ROWS:
                several(*places, *of_rows, *shared)
                row += _ROWS
            else:
                single(*places, *of_rows, *shared)
                row += 1

    return finish


def _tile(activation: int, rows: int, *, residual: bool) -> Any:
    """The same for just so many rows."""

    @instruction(f"void({'uintp, ' * 9}intp, intp, intp, int32)")
    def tile(
        code, sums, out, other, added, steps, column, scale, shifted, bias,
        size, out_stride, other_stride, factor,
    ):  # fmt: skip
        builder = code.builder
        factor = code.splat(factor, LANES)
        own_added = [code.splat(code.load(code.at(added, row * 4), I32), LANES) for row in range(rows)]
        own_steps = [code.splat(code.load(code.at(steps, row * 4), F32), LANES) for row in range(rows)]

        def at_row(address: Value, stride: Value, row: int, at: Value) -> Value:
            return place(code, code.at(address, code.times(stride, row * 4)), at)

        def body(at: Value, _: list[Value]) -> list[Value]:
            columns = code.load(place(code, column, at), INTS)
            scales, shifts, biases = (load_row(code, address, at) for address in (scale, shifted, bias))
            for row in range(rows):
                whole = builder.mul(code.load(at_row(sums, size, row, at), INTS), factor)
                whole = builder.add(builder.add(whole, own_added[row]), columns)
                y = builder.fmul(builder.fmul(builder.sitofp(whole, FLOATS), own_steps[row]), scales)
                y = builder.fadd(builder.fadd(y, shifts), biases)
                if activation == GELU:
                    y = _gelu(code, y)
                if activation == RELU:
                    y = code.larger(y, code.floats(0.0))
                if residual:
                    y = builder.fadd(y, code.load(at_row(other, other_stride, row, at), FLOATS))
                code.store(y, at_row(out, out_stride, row, at))
            return []

        code.loop(size, LANES, [], body)

    return tile


def _gelu(code: Code, y: Value) -> Value:
    """y * (1 + erf(y / sqrt 2)) / 2."""
    builder = code.builder
    x = code.larger(code.smaller(y, code.floats(_END)), code.floats(-_END))
    square = builder.fmul(x, x)
    above, below = polynomial(code, square, _ABOVE), polynomial(code, square, _BELOW)
    half = code.floats(0.5)
    found = builder.fmul(y, builder.fadd(builder.fdiv(builder.fmul(x, above), below), half))
    # There the quotient is a rounding away from minus a half.
    return builder.select(builder.fcmp_ordered("<=", y, code.floats(-_END)), code.floats(0.0), found)


finish_plain, finish_residual = _finishing(PLAIN, residual=False), _finishing(PLAIN, residual=True)
finish_gelu, finish_relu = _finishing(GELU, residual=False), _finishing(RELU, residual=False)
