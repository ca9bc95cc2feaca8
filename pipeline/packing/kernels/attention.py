"""Self-attention of one sequence, head by head, on whole numbers where it was trained on them.

Scores: codes of query times codes of key, exactly, times both steps. The probabilities are rounded as the layer
was trained; each value's own step is folded into them before they weigh its codes.

Shapes: S tokens, padded with empty ones to L, a multiple of 16; D features of a head, a multiple of 16.
"""

import numpy as np

from pipeline.packing.kernels import dot_products, floats
from pipeline.packing.kernels.compiling import compiled, floats_at, ints_at
from pipeline.packing.kernels.linear import BITS, PER_TOKEN, SMALLEST
from pipeline.packing.kernels.rows import (
    largest_magnitude,
    multiply_by,
    quantize,
    softmax,
    to_floats,
    to_scores,
    to_signs,
    weigh_levels,
    weigh_two_levels,
)

# One of the four quantizers of a self-attention; the fields are linear.PLACE's.
QUANTIZER = np.dtype(
    [
        ("quantizer", np.int64),
        ("shift_at", np.int64),  # [heads, D]
        ("step", np.float32),
        ("low", np.float32),
        ("high", np.float32),
    ],
    align=True,
)
QUERY, KEY, VALUE, PROBABILITIES = range(4)
_OFFSET = dot_products.OFFSET


@compiled
def room_for(length, head_size):  # type: ignore[no-untyped-def]
    """Bytes that `attend` needs for so many tokens."""
    padded = (length + 15) // 16 * 16
    return padded * (7 * head_size + 8 * padded + 16)


@compiled
def attend(quantizers, heads_at, stride, context_at, context_stride, length, num_heads, head_size, mask_at, room):  # type: ignore[no-untyped-def]
    """context [S, heads * D] of heads [S, 3 * heads * D]: queries, keys, values; addresses, strides in floats.

    mask_at: [L] floats, 0 for tokens, and what makes a score vanish for padding.
    """
    padded, width = (length + 15) // 16 * 16, num_heads * head_size
    codes, values = room, room + padded * head_size * 3
    sums = values + padded * head_size * 4
    scores = sums + padded * padded * 4
    columns = scores + padded * padded * 4
    key_steps, value_steps, query_steps = columns + padded * 4, columns + padded * 8, columns + padded * 12
    steps = floats_at(query_steps, padded)
    factor = np.float32(1.0) / np.sqrt(np.float32(head_size))
    for head in range(num_heads):
        query = heads_at + head * head_size * 4
        _round(quantizers[KEY], query + width * 4, stride, length, head_size, head, codes, key_steps)
        blocks = codes + padded * head_size
        _lay(codes, blocks, columns, length, padded, head_size)
        _round(quantizers[VALUE], query + width * 8, stride, length, head_size, head, codes, value_steps)
        to_floats(codes, values, length * head_size, _OFFSET)
        _round(quantizers[QUERY], query, stride, length, head_size, head, codes, query_steps)
        dot_products.multiply_8(codes, blocks, sums, length, padded, head_size)
        for row in range(length):
            place = scores + row * padded * 4
            to_scores(sums + row * padded * 4, place, columns, padded, steps[row], key_steps)
            softmax(place, mask_at, padded, factor)
            steps[row] = _weigh(quantizers[PROBABILITIES], place, value_steps, padded)
        out = context_at + head * head_size * 4
        floats.multiply(scores, padded, values, head_size, out, context_stride, length, head_size, length)
        for row in range(length):
            multiply_by(out + row * context_stride * 4, head_size, steps[row])


@compiled
def _round(quantizer, rows_at, stride, length, head_size, head, codes, steps_at):  # type: ignore[no-untyped-def]
    """codes [S, D], bytes with 128 added, of rows [S, D], and a step for each."""
    steps = floats_at(steps_at, length)
    for row in range(length):
        source, target = rows_at + row * stride * 4, codes + row * head_size
        steps[row] = quantizer.step
        if quantizer.quantizer == BITS:
            to_signs(source, quantizer.shift_at + head * head_size * 4, target, head_size, _OFFSET)
            continue
        if quantizer.quantizer == PER_TOKEN:
            steps[row] = max(largest_magnitude(source, head_size), SMALLEST * quantizer.high) / quantizer.high
        nothing = np.float32(0)
        quantize(source, target, head_size, steps[row], nothing, quantizer.low, quantizer.high, _OFFSET)


@compiled
def _lay(codes, blocks, columns_at, length, padded, head_size):  # type: ignore[no-untyped-def]
    """Keys as dot_products wants its weights: [L / 16, D / 4, 16] words of 4 codes; 0 for padding.

    columns: what 128 more in the query's codes and in the key's add to a product, to be taken off again.
    """
    words, groups = ints_at(codes, length * head_size // 4), head_size // 4
    laid, columns = ints_at(blocks, padded * head_size // 4), ints_at(columns_at, padded)
    for row in range(padded):
        place = (row // 16 * groups) * 16 + row % 16
        total = 0
        for group in range(groups):
            # The exclusive or takes 128 off each byte.
            word = words[row * groups + group] ^ np.int32(-2139062144) if row < length else np.int32(0)
            laid[place + group * 16] = word
            for byte in range(4):
                total += np.int8(word >> (8 * byte))
        columns[row] = -_OFFSET * total


@compiled
def _weigh(quantizer, row, value_steps, size):  # type: ignore[no-untyped-def]
    """Round a row of probabilities and multiply each code by its value's step; the step to multiply by later."""
    if quantizer.quantizer == BITS:
        weigh_two_levels(row, value_steps, size, quantizer.step, np.float32(1))
        return quantizer.step
    step = quantizer.step
    if quantizer.quantizer == PER_TOKEN:
        step = max(largest_magnitude(row, size), SMALLEST * quantizer.high) / quantizer.high
    weigh_levels(row, value_steps, size, step, quantizer.high)
    return step
