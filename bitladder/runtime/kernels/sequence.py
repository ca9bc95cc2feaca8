"""A whole packed BERT on one sequence, from token ids to logits, in one call of compiled code.

`answer` is the only function that Python calls of a running model; machine_code.py keeps what is made of it.
Nothing is copied between layers. Rows go through a layer in blocks that fit the processor's nearest memory; a
sequence goes through all layers before the next one begins, so that the weights of all layers stay in its
last level.
"""

import math

import numba
import numpy as np
from numba import types

from bitladder.runtime.kernels import attention, floats, tables
from bitladder.runtime.kernels.compiling import arrays, compiled, floats_at
from bitladder.runtime.kernels.linear import linear
from bitladder.runtime.kernels.rows import normalize
from bitladder.runtime.kernels.structs import (
    DOWN,
    MODEL,
    NORMS,
    OUT,
    PLACE,
    PLAIN,
    QUANTIZER,
    QUERY,
    RESIDUAL,
    ROOM,
    ROWS,
    TABLE,
    UP,
    VALUE,
)

NUM_ARGUMENTS = 14  # of `answer`
_models_at, _lookups_at, _places_at, _quantizers_at, _norms_at = (
    arrays(numba.from_dtype(record)) for record in (MODEL, TABLE, PLACE, QUANTIZER, NORMS)
)
_wholes_at = arrays(types.int64)


@compiled
def encode(
    places, quantizers, norms, x_at, length, asked, hidden, num_heads, neurons, mask_at, epsilon,
    activation, room,
):  # fmt: skip
    """x [S, hidden], in place, through all layers; addresses, and room as `room_for` says.

    Of the last layer only the first `asked` rows are computed: a classifier reads but the first, for which
    the others are needed only as keys and values. The rows after them are left as the layer before made them.

    places [layers, 6], quantizers [layers, 4], norms [layers, 2] are records of structs.PLACE,
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


@compiled
def mean_of_tokens(x_at, mask_at, out_at, length, hidden):
    """out [hidden]: the sum of those rows of x that no mask hides, divided by its own length.

    Rows are summed in order, in float32, and squares in float64; a sum of length 0 stays as it is.
    """
    mask, found = floats_at(mask_at, length), floats_at(out_at, hidden)
    for i in range(hidden):
        found[i] = 0.0
    for s in range(length):
        if mask[s] == 0:
            row = floats_at(x_at + s * hidden * 4, hidden)
            for i in range(hidden):
                found[i] += row[i]
    squares = 0.0
    for i in range(hidden):
        squares += found[i] * np.float64(found[i])
    if squares > 0:
        scale = 1 / math.sqrt(squares)
        for i in range(hidden):
            found[i] *= scale


@compiled
def head(own, pooler, x_at, out_at, rows, room):
    """out [rows, num_outputs]: of the first token, through the pooler, or of each."""
    hidden, width = own.hidden, own.num_outputs
    if own.is_pooled:
        # Neither number is a literal, so that `linear` is compiled only once.
        pooled, one, what = room + ROOM, own.is_pooled, own.pooler_activation
        linear(pooler, x_at, hidden, one, pooled, hidden, x_at, hidden, what, room)
        first, found = floats_at(x_at, hidden), floats_at(pooled, hidden)
        for i in range(hidden):
            first[i] = math.tanh(found[i]) if what == PLAIN else found[i]
    floats.multiply(x_at, hidden, own.head_at, width, own.ones_at, out_at, width, rows, width, hidden)


def answer(
    model_at, lookups_at, places_at, quantizers_at, norms_at, pooler_at, num_layers,
    ids_at, segments_at, length, mask_at, x_at, out_at, room,
):  # fmt: skip
    """out [1 or S, num_outputs]: what the head makes of the sequence, without its bias; or, out [hidden], the
    mean of its tokens, of length 1.

    At model, lookups [3], places [layers, 6], quantizers [layers, 4], norms [layers, 2], pooler [1]: records
    of MODEL, TABLE and of what `encode` takes. At ids, segments: int64 [S]. x: room for S rows.
    """
    lookups = _lookups_at(lookups_at, 3)
    places = _places_at(places_at, (num_layers, 6))
    quantizers = _quantizers_at(quantizers_at, (num_layers, 4))
    norms = _norms_at(norms_at, (num_layers, 2))
    pooler = _places_at(pooler_at, 1)
    ids, segments = _wholes_at(ids_at, length), _wholes_at(segments_at, length)
    own = _models_at(model_at, 1)[0]
    hidden, epsilon = own.hidden, own.epsilon
    tables.embed(lookups, ids, segments, x_at, hidden, own.norm_weight_at, own.norm_bias_at, epsilon)
    rows = own.is_pooled if own.is_pooled else length
    encode(
        places, quantizers, norms, x_at, length, rows, hidden, own.num_heads, own.neurons, mask_at, epsilon,
        own.activation, room,
    )  # fmt: skip
    if own.is_mean:
        mean_of_tokens(x_at, mask_at, out_at, length, hidden)
    else:
        head(own, pooler[0], x_at, out_at, rows, room)
