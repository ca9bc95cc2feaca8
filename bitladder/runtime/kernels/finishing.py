"""What follows a product of whole numbers: floats of it, and bias, GELU, ReLU or the residual.

The arithmetic is that of the trained layers in bitladder/modeling/linear.py, in the same order, so that an
output is the same float. Several rows go together: what an output has of its own is read once for all.
"""

import math
from typing import Any

from llvmlite import ir

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.rows import load_row, place, polynomial
from bitladder.runtime.kernels.structs import GELU, PLAIN, RELU
from bitladder.runtime.kernels.vector_ir import F32, FLOATS, I32, INTS, LANES, Code, Value, instruction

_ROWS = 4  # rows that are finished together
# Half of erf(y / sqrt 2) is y P(s), s = y^2 / 16 - 1, for y^2 <= 32, beyond which it is a half in float32.
# Fitted at Chebyshev's points, in s for its range of -1 to 1: no term is large, and nothing is divided.
_P = (
    -0.0003836612158920616,
    0.0010120882652699947,
    -0.0007380506140179932,
    0.0007623267010785639,
    -0.0030663376674056053,
    0.005871881730854511,
    -0.008012505248188972,
    0.01132903154939413,
    -0.01613537035882473,
    0.021259572356939316,
    -0.026431554928421974,
    0.031883664429187775,
    -0.03808028623461723,
    0.04655462130904198,
    -0.06242915615439415,
    0.12499208003282547,
)
_END = math.sqrt(32)


def _finishing(activation: int, *, residual: bool) -> Any:
    """`finish(sums, out, other, ...)`: out = what follows of whole numbers.

    out = activation((factor * sums + added) * step * scale + shifted + bias) (+ other).
    sums, out, other: [M, N], out and other of rows that are `stride` floats apart; added (int32) and steps:
    [M]; scale, shifted, bias: [N]; all of these are addresses. Where `are_floats` the sums are, and are only
    multiplied by scales.
    """
    several, single = (_tile(activation, rows, residual=residual) for rows in (_ROWS, 1))

    @compiled
    def finish(
        sums, out, other, added, steps, scale, shifted, bias,
        size, out_stride, other_stride, factor, are_floats, num_rows,
    ):  # fmt: skip
        shared = (scale, shifted, bias, size, out_stride, other_stride, factor, are_floats)
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

    @instruction(f"void({'uintp, ' * 8}intp, intp, intp, int32, int32)")
    def tile(
        code, sums, out, other, added, steps, scale, shifted, bias,
        size, out_stride, other_stride, factor, are_floats,
    ):  # fmt: skip
        builder = code.builder
        are_floats = builder.icmp_signed("!=", are_floats, ir.Constant(I32, 0))
        factor = code.splat(factor, LANES)
        own_added = [code.splat(code.load(code.at(added, row * 4), I32), LANES) for row in range(rows)]
        own_steps = [code.splat(code.load(code.at(steps, row * 4), F32), LANES) for row in range(rows)]

        def at_row(address: Value, stride: Value, row: int, at: Value) -> Value:
            return place(code, code.at(address, code.times(stride, row * 4)), at)

        def body(at: Value, _: list[Value]) -> list[Value]:
            scales, shifts, biases = (load_row(code, address, at) for address in (scale, shifted, bias))
            for row in range(rows):
                found = code.load(at_row(sums, size, row, at), INTS)
                whole = builder.add(builder.mul(found, factor), own_added[row])
                y = builder.select(are_floats, builder.bitcast(found, FLOATS), builder.sitofp(whole, FLOATS))
                y = builder.fmul(builder.fmul(y, own_steps[row]), scales)
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
    s = code.fused(builder.fmul(x, x), code.floats(1 / 16), code.floats(-1.0))
    half = code.fused(x, polynomial(code, s, _P), code.floats(0.5))
    # There it is a rounding away from 0.
    return builder.select(
        builder.fcmp_ordered("<=", y, code.floats(-_END)), code.floats(0.0), builder.fmul(y, half)
    )


finish_plain, finish_residual = _finishing(PLAIN, residual=False), _finishing(PLAIN, residual=True)
finish_gelu, finish_relu = _finishing(GELU, residual=False), _finishing(RELU, residual=False)
