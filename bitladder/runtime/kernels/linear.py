"""A linear layer of a packed model on a block of rows: quantize, multiply, rescale, in one go.

A block is few rows, so that their codes, sums and results stay in the processor's nearest memory. Which
machine code multiplies is the place's (products.py).
"""

import numpy as np

from bitladder.runtime.kernels import products
from bitladder.runtime.kernels.compiling import compiled, floats_at, ints_at
from bitladder.runtime.kernels.finishing import finish_gelu, finish_plain, finish_relu, finish_residual
from bitladder.runtime.kernels.rows import largest_magnitude, quantize, to_bits
from bitladder.runtime.kernels.structs import BITS, EXACT, GELU, PER_TOKEN, RELU, RESIDUAL

SMALLEST = np.finfo(np.float32).tiny  # no division by zero: a token of zeros stays zeros


@compiled
def linear(place, own, rows_at, num_rows, out_at, out_stride, other_at, other_stride, follows, room):
    """out [M, N] = what follows of the layer's output for rows [M, K]; strides in floats.

    own: the MODEL, whose offsets in the room are for blocks of M rows or more.
    """
    _quantize(place, own, rows_at, num_rows, room)
    first, inputs = 0, place.num_inputs
    while first < place.num_outputs:
        width = min(place.panel, place.num_outputs - first)
        weights = place.weights_at + first * place.output_bytes
        codes = rows_at if place.quantizer == EXACT else room + own.codes
        products.call(
            place.multiply_at, codes, weights, room + own.sums, room + own.scratch, num_rows,
            width, inputs,
        )  # fmt: skip
        at = first * 4
        out, other = out_at + at, other_at + at
        _finish(follows, place, own, at, width, num_rows, out, out_stride, other, other_stride, room)
        first += width


@compiled
def _quantize(place, own, rows_at, num_rows, room):
    """Codes of the rows, bits or nothing; for each row its step, and what is added to its products."""
    size, high = place.num_inputs, place.high
    steps, added = floats_at(room, num_rows), ints_at(room + num_rows * 4, num_rows)
    # All steps before all codes: the processor looks ahead some rows, and a row's codes wait for its step.
    for row in range(num_rows):
        steps[row] = 1
        if place.quantizer == PER_TOKEN:
            steps[row] = max(largest_magnitude(rows_at + row * size * 4, size), SMALLEST * high) / high
    if place.quantizer == EXACT:
        added[:] = 0
        return
    for row in range(num_rows):
        source = rows_at + row * size * 4
        if place.quantizer == BITS:
            target = room + own.codes + row * ((size + 63) // 64) * 8
            total = to_bits(source, place.shift_at, target, size, place.unit, place.threshold)
        else:
            step = steps[row] if place.quantizer == PER_TOKEN else place.step
            target = room + own.codes + row * size
            total = quantize(source, target, size, step, place.offset, place.low, high)
        added[row] = place.row_factor * total + place.constant


@compiled
def _finish(follows, place, own, at, width, num_rows, out, out_stride, other, other_stride, room):
    """Of the outputs from `at` on, in bytes."""
    arrays = (place.scale_at + at, place.shifted_at + at, place.bias_at + at, width)
    arguments = (room + own.sums, out, other, room + num_rows * 4, room, *arrays)
    last = (out_stride, other_stride, place.factor, int(place.quantizer == EXACT), num_rows)
    if follows == RESIDUAL:
        finish_residual(*arguments, *last)
    elif follows == GELU:
        finish_gelu(*arguments, *last)
    elif follows == RELU:
        finish_relu(*arguments, *last)
    else:
        finish_plain(*arguments, *last)
