"""The layers of a packed BERT on one sequence, in one call: nothing is copied between them.

Rows go through a layer in blocks that fit the processor's nearest memory; a sequence goes through all layers
before the next one begins, so that the weights of all layers stay in its last level.
"""

import numpy as np

from bitladder.runtime.kernels import attention
from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.linear import linear
from bitladder.runtime.kernels.rows import normalize
from bitladder.runtime.kernels.structures import DOWN, OUT, PLAIN, QUERY, RESIDUAL, ROOM, ROWS, UP, VALUE


@compiled
def encode(
    places, quantizers, norms, x_at, length, asked, hidden, num_heads, neurons, mask_at, epsilon,
    activation, room,
):  # fmt: skip
    """x [S, hidden], in place, through all layers; addresses, and room as `room_for` says.

    Of the last layer only the first `asked` rows are computed: a classifier reads but the first, for which
    the others are needed only as keys and values. The rows after them are left as the layer before made them.

    places [layers, 6], quantizers [layers, 4], norms [layers, 2] are records of structures.PLACE,
    QUANTIZER and NORMS. Query, key and value that round their input alike are one place, the first.
    """
    # A literal would be a type of its own, and `linear` compiled anew for each.
    plain, residual = np.int64(PLAIN), np.int64(RESIDUAL)
    heads = room + ROOM
    context = heads + ROWS * 3 * hidden * 4
    block = context + length * hidden * 4
    wide = block + ROWS * hidden * 4
    rest = wide + ROWS * neurons * 4
    head_size = hidden // num_heads
    for layer in range(len(places)):
        own, norm = places[layer], norms[layer]
        rows = asked if layer == len(places) - 1 else length
        for first in range(0, length, ROWS):
            size, row = min(ROWS, length - first), x_at + first * hidden * 4
            for part in range(QUERY, VALUE + 1):
                if own[part].num_outputs:
                    target = heads + part * hidden * 4
                    linear(own[part], row, hidden, size, target, 3 * hidden, row, hidden, plain, room)
            attention.round_heads(quantizers[layer], heads, first, size, length, num_heads, head_size, rest)
        attention.attend(
            quantizers[layer], context, hidden, length, rows, num_heads, head_size, mask_at, rest
        )
        for first in range(0, rows, ROWS):
            size, row = min(ROWS, rows - first), x_at + first * hidden * 4
            source = context + first * hidden * 4
            linear(own[OUT], source, hidden, size, block, hidden, row, hidden, residual, room)
            for r in range(size):
                normalize(block + r * hidden * 4, norm[0].weight_at, norm[0].bias_at, hidden, epsilon)
            linear(own[UP], block, hidden, size, wide, neurons, block, hidden, activation, room)
            linear(own[DOWN], wide, neurons, size, row, hidden, block, hidden, residual, room)
            for r in range(size):
                normalize(row + r * hidden * 4, norm[1].weight_at, norm[1].bias_at, hidden, epsilon)
