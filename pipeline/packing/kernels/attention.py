"""Self-attention of one sequence, head by head, on whole numbers where it was trained on them.

Scores: codes of query times codes of key, exactly, times both steps. The probabilities are rounded as the
layer was trained; each value's own step is folded into them before they weigh its codes.

Shapes: S tokens, padded with empty ones to L, a multiple of 16; D features of a head, a multiple of 16.
"""

import numpy as np

from pipeline.packing.kernels import dot_products, floats, layouts
from pipeline.packing.kernels.compiling import compiled, floats_at, ints_at
from pipeline.packing.kernels.linear import SMALLEST
from pipeline.packing.kernels.probabilities import per_token, step_levels, two_levels
from pipeline.packing.kernels.rows import largest_magnitude, quantize, to_floats, to_signs
from pipeline.packing.kernels.structures import BITS, KEY, PER_TOKEN, PROBABILITIES, QUERIES, QUERY, VALUE

_OFFSET = layouts.OFFSET


@compiled
def attend(
    quantizers, heads_at, stride, context_at, context_stride, length, asked, num_heads, head_size, mask_at,
    room,
):  # fmt: skip
    """context [asked, heads * D] of heads [S, 3 * heads * D]: queries, keys, values. Strides in floats.

    asked: how many queries, from the first on, are to be answered; at most S.
    mask_at: [L] floats, 0 for tokens, and what makes a score vanish for padding.
    """
    padded, width = (length + 15) // 16 * 16, num_heads * head_size
    codes, keys, values = room, room + padded * head_size, room + padded * head_size * 2
    scores = values + padded * head_size * 4
    columns = scores + padded * QUERIES * 4
    key_steps, value_steps, query_steps = columns + padded * 4, columns + padded * 8, columns + padded * 12
    # Padding has steps too, or its garbage would become NaN.
    floats_at(key_steps, padded)[length:] = 0
    floats_at(value_steps, padded)[length:] = 0
    scale = np.float32(1.0) / np.sqrt(np.float32(head_size))
    for head in range(num_heads):
        query = heads_at + head * head_size * 4
        key, value, context = query + width * 4, query + width * 8, context_at + head * head_size * 4
        _round(quantizers[KEY], key, stride, length, head_size, head, codes, key_steps, columns)
        _lay(codes, keys, columns, length, padded, head_size)
        _round(quantizers[VALUE], value, stride, length, head_size, head, codes, value_steps, scores)
        to_floats(codes, values, length * head_size, _OFFSET)
        _round(quantizers[QUERY], query, stride, asked, head_size, head, codes, query_steps, scores)
        for first in range(0, asked, QUERIES):
            rows, steps = min(QUERIES, asked - first), query_steps + first * 4
            dot_products.multiply_8(codes + first * head_size, keys, scores, rows, padded, head_size)
            _weigh(
                quantizers[PROBABILITIES], scores, padded, columns, mask_at, steps, scale, key_steps,
                value_steps, rows,
            )  # fmt: skip
            out = context + first * context_stride * 4
            floats.multiply(
                scores, padded, values, head_size, steps, out, context_stride, rows, head_size, length
            )


@compiled
def _weigh(rounding, scores, size, columns, mask, steps, scale, key_steps, value_steps, rows):
    step, high = rounding.step, rounding.high
    if rounding.quantizer == PER_TOKEN:
        per_token(scores, size, columns, mask, steps, scale, key_steps, value_steps, step, high, rows)
    elif rounding.quantizer == BITS:
        two_levels(scores, size, columns, mask, steps, scale, key_steps, value_steps, step, high, rows)
    else:
        step_levels(scores, size, columns, mask, steps, scale, key_steps, value_steps, step, high, rows)


@compiled
def _round(quantizer, rows_at, stride, length, head_size, head, codes, steps_at, sums_at):
    """codes [S, D], bytes with 128 added, of rows [S, D]; for each row a step and the sum of its codes."""
    steps, sums = floats_at(steps_at, length), ints_at(sums_at, length)
    nothing, low, high = np.float32(0), quantizer.low, quantizer.high
    # All steps before all codes: the processor looks ahead some rows, and a row's codes wait for its step.
    for row in range(length):
        step = quantizer.step
        if quantizer.quantizer == PER_TOKEN:
            step = max(largest_magnitude(rows_at + row * stride * 4, head_size), SMALLEST * high) / high
        steps[row] = step
    for row in range(length):
        source, target = rows_at + row * stride * 4, codes + row * head_size
        if quantizer.quantizer == BITS:
            shift = quantizer.shift_at + head * head_size * 4
            sums[row] = to_signs(source, shift, target, head_size, _OFFSET)
        else:
            sums[row] = quantize(source, target, head_size, steps[row], nothing, low, high, _OFFSET)


@compiled
def _lay(codes, blocks, columns_at, length, padded, head_size):
    """Keys as dot_products wants its weights: [L / 16, D / 4, 16] words of 4 codes; 0 for padding.

    columns: sums of codes; made into what 128 more in the query's codes adds to a product, to be taken off.
    """
    words, groups = ints_at(codes, length * head_size // 4), head_size // 4
    laid, columns = ints_at(blocks, padded * head_size // 4), ints_at(columns_at, padded)
    for row in range(length, padded):
        place = (row // 16 * groups) * 16 + row % 16
        for group in range(groups):
            laid[place + group * 16] = 0
        columns[row] = 0
    for row in range(length):
        place = (row // 16 * groups) * 16 + row % 16
        for group in range(groups):
            # The exclusive or takes 128 off each byte.
            laid[place + group * 16] = words[row * groups + group] ^ np.int32(-2139062144)
        columns[row] *= -_OFFSET
