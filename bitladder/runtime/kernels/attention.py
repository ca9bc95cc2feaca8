"""Self-attention of one sequence, head by head, on whole numbers where it was trained on them.

Scores: codes of query times codes of key, exactly, times both steps. The probabilities are rounded as the
layer was trained; each value's own step is folded into them before they weigh its codes.

Shapes: S tokens, padded with empty ones to L, a multiple of 16; D features of a head, a multiple of 16.
"""

import numpy as np

from bitladder.runtime.kernels import floats, products
from bitladder.runtime.kernels.compiling import compiled, floats_at, ints_at
from bitladder.runtime.kernels.linear import SMALLEST
from bitladder.runtime.kernels.probabilities import per_token, step_levels, two_levels, unrounded
from bitladder.runtime.kernels.rows import largest_magnitude, quantize, to_floats, to_signs
from bitladder.runtime.kernels.structs import (
    BITS,
    EXACT,
    KEY,
    PER_TOKEN,
    PROBABILITIES,
    QUERIES,
    QUERY,
    VALUE,
)


@compiled
def round_heads(quantizers, own, rows_at, first, num_rows, length, codes_at):
    """Codes of some rows, from `first` on, of queries, keys and values: [num_rows, 3 * heads * D] floats."""
    padded, width, num_heads = (length + 15) // 16 * 16, own.hidden, own.num_heads
    head_size = width // num_heads
    size = head_size * own.code_bytes
    for part in range(QUERY, VALUE + 1):
        for head in range(num_heads):
            codes, steps, sums = _of_head(codes_at, part, head, padded, num_heads, size)
            _round(
                quantizers[part], rows_at + (part * width + head * head_size) * 4, 3 * width, num_rows,
                head_size, head, codes + first * size, steps + first * 4, sums + first * 4,
            )  # fmt: skip


@compiled
def attend(
    quantizers, own, head, context_at, context_stride, length, asked, head_size, mask_at, codes_at, room
):
    """context [asked, D] of one head from what `round_heads` left at `codes_at`; the stride in floats.

    asked: how many queries, from the first on, are to be answered; at most S.
    mask_at: [L] floats, 0 for tokens, and what makes a score vanish for padding.
    """
    padded, num_heads = (length + 15) // 16 * 16, own.num_heads
    keys = room + own.rest
    values = keys + padded * head_size * own.code_bytes
    scores = values + padded * head_size * 4
    scale = np.float32(1.0) / np.sqrt(np.float32(head_size))
    size = head_size * own.code_bytes
    queries, query_steps, query_sums = _of_head(codes_at, QUERY, head, padded, num_heads, size)
    codes, key_steps, _ = _of_head(codes_at, KEY, head, padded, num_heads, size)
    floats_of, value_steps, _ = _of_head(codes_at, VALUE, head, padded, num_heads, size)
    is_exact = quantizers[QUERY].quantizer == EXACT
    if is_exact:
        _turn(codes, keys, length, padded, head_size)
        values = floats_of
    else:
        _lay(codes, keys, length, padded, head_size, own.raised)
        to_floats(floats_of, values, length * head_size)
    # Padding has steps too, or its garbage would become NaN.
    floats_at(key_steps, padded)[length:] = 0
    floats_at(value_steps, padded)[length:] = 0
    added = ints_at(query_sums, asked)
    for row in range(asked):
        added[row] *= -own.raised
    first = 0
    while first < asked:
        rows, steps = min(QUERIES, asked - first), query_steps + first * 4
        asking = queries + first * size
        if is_exact:
            floats.multiply(
                asking, head_size, keys, padded, own.ones_at, scores, padded, rows, padded, head_size
            )
        else:
            products.call(own.scores_at, asking, keys, scores, room + own.scratch, rows, padded, head_size)
        _weigh(
            quantizers[PROBABILITIES], scores, padded, query_sums + first * 4, mask_at, steps, scale,
            key_steps, value_steps, rows,
        )  # fmt: skip
        out = context_at + (head * head_size + first * context_stride) * 4
        floats.multiply(
            scores, padded, values, head_size, steps, out, context_stride, rows, head_size, length
        )
        first += rows


@compiled
def _of_head(codes_at, part, head, padded, num_heads, size):
    """Where codes [L, size bytes], steps [L] and sums of codes [L] of a head's queries, keys or values
    are."""
    number, all_heads = part * num_heads + head, 3 * num_heads
    steps = codes_at + all_heads * padded * size
    sums = steps + all_heads * padded * 4
    return codes_at + number * padded * size, steps + number * padded * 4, sums + number * padded * 4


@compiled
def _weigh(rounding, scores, size, added, mask, steps, scale, key_steps, value_steps, rows):
    step, high = rounding.step, rounding.high
    if rounding.quantizer == EXACT:
        unrounded(scores, size, added, mask, steps, scale, key_steps, value_steps, step, high, rows)
    elif rounding.quantizer == PER_TOKEN:
        per_token(scores, size, added, mask, steps, scale, key_steps, value_steps, step, high, rows)
    elif rounding.quantizer == BITS:
        two_levels(scores, size, added, mask, steps, scale, key_steps, value_steps, step, high, rows)
    else:
        step_levels(scores, size, added, mask, steps, scale, key_steps, value_steps, step, high, rows)


@compiled
def _round(quantizer, rows_at, stride, length, head_size, head, codes, steps_at, sums_at):
    """codes [S, D], int8, of rows [S, D]; for each row a step and the sum of its codes."""
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
        if quantizer.quantizer == EXACT:
            own, given = floats_at(codes + row * head_size * 4, head_size), floats_at(source, head_size)
            for feature in range(head_size):
                own[feature] = given[feature]
        elif quantizer.quantizer == BITS:
            sums[row] = to_signs(source, quantizer.shift_at + head * head_size * 4, target, head_size)
        else:
            sums[row] = quantize(source, target, head_size, steps[row], nothing, low, high)


@compiled
def _turn(keys_at, turned_at, length, padded, head_size):
    """Keys [S, D] as [D, L], floats; 0 for padding."""
    keys, turned = floats_at(keys_at, length * head_size), floats_at(turned_at, padded * head_size)
    turned[:] = 0
    for row in range(length):
        for feature in range(head_size):
            turned[feature * padded + row] = keys[row * head_size + feature]


@compiled
def _lay(codes, blocks, length, padded, head_size, raised):
    """Keys as products want weights of 8 bits: [L / 16, D / 4, 16] words of 4 codes; any for padding."""
    words, groups = ints_at(codes, length * head_size // 4), head_size // 4
    laid = ints_at(blocks, padded * head_size // 4)
    # The exclusive or adds 128 to each byte.
    flip = np.int32(-2139062144) if raised else np.int32(0)
    for row in range(length):
        place = (row // 16 * groups) * 16 + row % 16
        for group in range(groups):
            laid[place + group * 16] = words[row * groups + group] ^ flip
