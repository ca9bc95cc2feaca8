"""Self-attention of one sequence, head by head, on whole numbers where it was trained on them.

Scores: codes of query times codes of key, exactly, times both steps. The probabilities are rounded as the
layer was trained; each value's own step is folded into them before they weigh its codes.

Shapes: S tokens, padded with empty ones to L, a multiple of 16; D features of a head, a multiple of 16.
"""

import numpy as np

from pipeline.packing.kernels import dot_products, floats
from pipeline.packing.kernels.compiling import compiled, floats_at, ints_at
from pipeline.packing.kernels.linear import BITS, PER_TOKEN, SMALLEST
from pipeline.packing.kernels.probabilities import per_token, step_levels, two_levels
from pipeline.packing.kernels.rows import largest_magnitude, quantize, to_floats, to_signs

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


def room_for(length: int, head_size: int) -> int:
    """Bytes that `attend` needs for so many tokens."""
    padded = (length + 15) // 16 * 16
    return padded * (7 * head_size + 8 * padded + 16)


@compiled
def attend(
    quantizers, heads_at, stride, context_at, context_stride, length, num_heads, head_size, mask_at, room
):
    """context [S, heads * D] of heads [S, 3 * heads * D]: queries, keys, values. Strides in floats.

    mask_at: [L] floats, 0 for tokens, and what makes a score vanish for padding.
    """
    padded, width = (length + 15) // 16 * 16, num_heads * head_size
    codes, values = room, room + padded * head_size * 3
    sums = values + padded * head_size * 4
    scores = sums + padded * padded * 4
    columns = scores + padded * padded * 4
    key_steps, value_steps, query_steps = columns + padded * 4, columns + padded * 8, columns + padded * 12
    steps = floats_at(query_steps, padded)
    # Padding has steps too, or its garbage would become NaN.
    floats_at(key_steps, padded)[length:] = 0
    floats_at(value_steps, padded)[length:] = 0
    scale = np.float32(1.0) / np.sqrt(np.float32(head_size))
    rounding = quantizers[PROBABILITIES]
    for head in range(num_heads):
        query = heads_at + head * head_size * 4
        blocks = codes + padded * head_size
        _round(quantizers[KEY], query + width * 4, stride, length, head_size, head, codes, key_steps, columns)
        _lay(codes, blocks, columns, length, padded, head_size)
        value = query + width * 8
        _round(quantizers[VALUE], value, stride, length, head_size, head, codes, value_steps, sums)
        to_floats(codes, values, length * head_size, _OFFSET)
        _round(quantizers[QUERY], query, stride, length, head_size, head, codes, query_steps, sums)
        dot_products.multiply_8(codes, blocks, sums, length, padded, head_size)
        for row in range(length):
            source, target, factor = sums + row * padded * 4, scores + row * padded * 4, steps[row] * scale
            if rounding.quantizer == PER_TOKEN:
                steps[row] = per_token(
                    source,
                    target,
                    padded,
                    columns,
                    mask_at,
                    factor,
                    key_steps,
                    value_steps,
                    rounding.step,
                    rounding.high,
                )
            elif rounding.quantizer == BITS:
                steps[row] = two_levels(
                    source,
                    target,
                    padded,
                    columns,
                    mask_at,
                    factor,
                    key_steps,
                    value_steps,
                    rounding.step,
                    rounding.high,
                )
            else:
                steps[row] = step_levels(
                    source,
                    target,
                    padded,
                    columns,
                    mask_at,
                    factor,
                    key_steps,
                    value_steps,
                    rounding.step,
                    rounding.high,
                )
        out = context_at + head * head_size * 4
        floats.multiply(
            scores, padded, values, head_size, query_steps, out, context_stride, length, head_size, length
        )


@compiled
def _round(quantizer, rows_at, stride, length, head_size, head, codes, steps_at, sums_at):
    """codes [S, D], bytes with 128 added, of rows [S, D]; for each row a step and the sum of its codes."""
    steps, sums = floats_at(steps_at, length), ints_at(sums_at, length)
    nothing, low, high = np.float32(0), quantizer.low, quantizer.high
    for row in range(length):
        source, target = rows_at + row * stride * 4, codes + row * head_size
        steps[row] = quantizer.step
        if quantizer.quantizer == BITS:
            sums[row] = to_signs(
                source, quantizer.shift_at + head * head_size * 4, target, head_size, _OFFSET
            )
            continue
        if quantizer.quantizer == PER_TOKEN:
            steps[row] = max(largest_magnitude(source, head_size), SMALLEST * high) / high
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
