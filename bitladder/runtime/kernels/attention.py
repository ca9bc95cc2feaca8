"""Self-attention of one sequence, head by head, on whole numbers where it was trained on them.

Scores: codes of query times codes of key, exactly, times both steps. The probabilities are rounded as the
layer was trained; each value's own step is folded into them before they weigh its codes.

Shapes: S tokens, padded with empty ones to L, a multiple of 16; D features of a head, a multiple of 16.
"""

import numpy as np

from bitladder.runtime.kernels import dot_products, floats, memory_order
from bitladder.runtime.kernels.compiling import compiled, floats_at, ints_at
from bitladder.runtime.kernels.linear import SMALLEST
from bitladder.runtime.kernels.probabilities import per_token, step_levels, two_levels
from bitladder.runtime.kernels.rows import largest_magnitude, quantize, to_floats, to_signs
from bitladder.runtime.kernels.structs import BITS, KEY, PER_TOKEN, PROBABILITIES, QUERIES, QUERY, VALUE

_OFFSET = memory_order.OFFSET


@compiled
def round_heads(quantizers, rows_at, first, num_rows, length, num_heads, head_size, room):
    """Codes of some rows, from `first` on, of queries, keys and values: [num_rows, 3 * heads * D] floats."""
    padded, width = (length + 15) // 16 * 16, num_heads * head_size
    for part in range(QUERY, VALUE + 1):
        for head in range(num_heads):
            codes, steps, sums = _of_head(room, part, head, padded, num_heads, head_size)
            _round(
                quantizers[part], rows_at + (part * width + head * head_size) * 4, 3 * width, num_rows,
                head_size, head, codes + first * head_size, steps + first * 4, sums + first * 4,
            )  # fmt: skip


@compiled
def attend(quantizers, context_at, context_stride, length, asked, num_heads, head_size, mask_at, room):
    """context [asked, heads * D] of what `round_heads` left in the room; the stride in floats.

    asked: how many queries, from the first on, are to be answered; at most S.
    mask_at: [L] floats, 0 for tokens, and what makes a score vanish for padding.
    """
    padded, width = (length + 15) // 16 * 16, num_heads * head_size
    keys = room + padded * 3 * (width + 8 * num_heads)
    values = keys + padded * head_size
    scores = values + padded * head_size * 4
    scale = np.float32(1.0) / np.sqrt(np.float32(head_size))
    for head in range(num_heads):
        queries, query_steps, _ = _of_head(room, QUERY, head, padded, num_heads, head_size)
        codes, key_steps, columns = _of_head(room, KEY, head, padded, num_heads, head_size)
        _lay(codes, keys, columns, length, padded, head_size)
        codes, value_steps, _ = _of_head(room, VALUE, head, padded, num_heads, head_size)
        to_floats(codes, values, length * head_size, _OFFSET)
        # Padding has steps too, or its garbage would become NaN.
        floats_at(key_steps, padded)[length:] = 0
        floats_at(value_steps, padded)[length:] = 0
        for first in range(0, asked, QUERIES):
            rows, steps = min(QUERIES, asked - first), query_steps + first * 4
            dot_products.multiply_8(queries + first * head_size, keys, scores, rows, padded, head_size)
            _weigh(
                quantizers[PROBABILITIES], scores, padded, columns, mask_at, steps, scale, key_steps,
                value_steps, rows,
            )  # fmt: skip
            out = context_at + (head * head_size + first * context_stride) * 4
            floats.multiply(
                scores, padded, values, head_size, steps, out, context_stride, rows, head_size, length
            )


@compiled
def _of_head(room, part, head, padded, num_heads, head_size):
    """Where codes [L, D], steps [L] and sums of codes [L] of a head's queries, keys or values are."""
    number, all_heads = part * num_heads + head, 3 * num_heads
    steps = room + all_heads * padded * head_size
    sums = steps + all_heads * padded * 4
    return room + number * padded * head_size, steps + number * padded * 4, sums + number * padded * 4


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
