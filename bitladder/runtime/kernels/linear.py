"""A linear layer of a packed model on a block of rows: quantize, multiply, rescale, in one go.

A block is few rows, so that their codes, sums and results stay in the processor's nearest memory.
"""

import numpy as np

from bitladder.runtime.kernels import dot_products, lookup, memory_order, popcount
from bitladder.runtime.kernels.compiling import compiled, floats_at, ints_at
from bitladder.runtime.kernels.finishing import finish_gelu, finish_plain, finish_relu, finish_residual
from bitladder.runtime.kernels.rows import largest_magnitude, quantize, to_bits
from bitladder.runtime.kernels.structs import (
    BITS,
    CODES,
    COMMON,
    DIFFERING,
    DOT_1,
    DOT_2,
    DOT_4,
    DOT_8,
    GELU,
    LOOKUP,
    OF_ROWS,
    PER_TOKEN,
    RELU,
    RESIDUAL,
    ROWS,
    SUMS,
    TABLES,
)

SMALLEST = np.finfo(np.float32).tiny  # no division by zero: a token of zeros stays zeros


@compiled
def linear(place, rows_at, stride, num_rows, out_at, out_stride, other_at, other_stride, follows, room):
    """out [M, N] = what follows of the layer's output for rows [M, K]; strides in floats, M <= ROWS."""
    steps, sums = floats_at(room + OF_ROWS, ROWS), ints_at(room + OF_ROWS + ROWS * 4, ROWS)
    size = place.num_inputs
    high, added = place.high, 0 if place.product == LOOKUP else memory_order.OFFSET
    # All steps before all codes: the processor looks ahead some rows, and a row's codes wait for its step.
    for row in range(num_rows):
        steps[row] = 1
        if place.quantizer == PER_TOKEN:
            steps[row] = max(largest_magnitude(rows_at + row * stride * 4, size), SMALLEST * high) / high
    for row in range(num_rows):
        source = rows_at + row * stride * 4
        if place.quantizer == BITS:
            target = room + CODES + row * ((size + 63) // 64) * 8
            sums[row] = to_bits(source, place.shift_at, target, size, place.unit, place.threshold)
        else:
            step = steps[row] if place.quantizer == PER_TOKEN else place.step
            target = room + CODES + row * size
            sums[row] = quantize(source, target, size, step, place.offset, place.low, high, added)
    _multiply(place, num_rows, room)
    factor = _correct(place, sums, num_rows)
    _finish(follows, place, factor, room, num_rows, out_at, out_stride, other_at, other_stride)


@compiled
def _multiply(place, num_rows, room):
    codes, sums, outputs, inputs = room + CODES, room + SUMS, place.num_outputs, place.num_inputs
    if place.product == LOOKUP:
        lookup.multiply(codes, place.weights_at, sums, room + TABLES, num_rows, outputs, inputs)
    elif place.product == DOT_1:
        dot_products.multiply_1(codes, place.weights_at, sums, num_rows, outputs, inputs)
    elif place.product == DOT_2:
        dot_products.multiply_2(codes, place.weights_at, sums, num_rows, outputs, inputs)
    elif place.product == DOT_4:
        dot_products.multiply_4(codes, place.weights_at, sums, num_rows, outputs, inputs)
    elif place.product == DOT_8:
        dot_products.multiply_8(codes, place.weights_at, sums, num_rows, outputs, inputs)
    else:
        words, differing = (inputs + 63) // 64, int(place.product == DIFFERING)
        popcount.count(codes, place.weights_at, sums, num_rows, outputs, words, differing)


@compiled
def _correct(place, sums, num_rows):
    """What makes of a kernel's sums the product with {-1, +1}: times what is returned, plus the row's `sums`.

    sums: of the row's codes (or its set bits), overwritten.
    """
    factor = 1
    for row in range(num_rows):
        if place.product == LOOKUP or place.product == DOT_1 or place.product == COMMON:
            factor, sums[row] = 2, -sums[row]
        elif place.product == DIFFERING:
            factor, sums[row] = -2, place.num_inputs
        else:
            sums[row] = 0
    return factor


@compiled
def _finish(follows, place, factor, room, num_rows, out, out_stride, other, other_stride):
    own = (place.column_at, place.scale_at, place.shifted_at, place.bias_at, place.num_outputs)
    arguments = (room + SUMS, out, other, room + OF_ROWS + ROWS * 4, room + OF_ROWS, *own)
    if follows == RESIDUAL:
        finish_residual(*arguments, out_stride, other_stride, factor, num_rows)
    elif follows == GELU:
        finish_gelu(*arguments, out_stride, other_stride, factor, num_rows)
    elif follows == RELU:
        finish_relu(*arguments, out_stride, other_stride, factor, num_rows)
    else:
        finish_plain(*arguments, out_stride, other_stride, factor, num_rows)
