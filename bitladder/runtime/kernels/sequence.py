"""A whole packed BERT on one sequence, from token ids to logits, in one call of compiled code.

`answer` is the only function that Python calls of a running model; machine_code.py keeps what is made of it.
Nothing is copied between layers. Rows go through a layer in blocks that fit the processor's nearer memory; a
sequence goes through all layers before the next one begins, so that the weights of all layers stay in its
last level. Several threads may call it for one sequence at a time: they share the blocks and heads (team.py).
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
    TABLE,
    UP,
    VALUE,
)
from bitladder.runtime.kernels.team import done, take, wait

NUM_ARGUMENTS = 17  # of `answer`
_models_at, _lookups_at, _places_at, _quantizers_at, _norms_at = (
    arrays(numba.from_dtype(record)) for record in (MODEL, TABLE, PLACE, QUANTIZER, NORMS)
)
_wholes_at = arrays(types.int64)


@compiled
def _embed(own, lookups, ids, segments, x_at, block, team):
    length, hidden = len(ids), own.hidden
    pieces = (length + block - 1) // block
    piece = take(team, 0, -1)
    while piece < pieces:
        first = piece * block
        tables.embed(
            lookups, ids, segments, first, min(length, first + block), x_at, hidden, own.norm_weight_at,
            own.norm_bias_at, own.epsilon,
        )  # fmt: skip
        done(team, 0, pieces)
        piece = take(team, 0, piece)
    wait(team, 0, pieces)


@compiled
def _project(places, quantizers, own, x_at, length, block, codes_at, room, team, phase):
    """Codes of queries, keys and values of all rows."""
    # A literal would be a type of its own, and `linear` compiled anew for it.
    plain, hidden = np.int64(PLAIN), own.hidden
    pieces = (length + block - 1) // block
    piece = take(team, phase, -1)
    while piece < pieces:
        first = piece * block
        size, row, heads = min(block, length - first), x_at + first * hidden * 4, room + own.heads
        for part in range(QUERY, VALUE + 1):
            if places[part].num_outputs:
                target = heads + part * hidden * 4
                linear(places[part], own, row, size, target, 3 * hidden, row, hidden, plain, room)
        attention.round_heads(quantizers, own, heads, first, size, length, codes_at)
        done(team, phase, pieces)
        piece = take(team, phase, piece)
    wait(team, phase, pieces)


@compiled
def _attend(quantizers, own, context, length, asked, mask_at, codes_at, room, team, phase):
    hidden, heads = own.hidden, own.num_heads
    head = take(team, phase, -1)
    while head < heads:
        attention.attend(
            quantizers, own, head, context, hidden, length, asked, hidden // heads, mask_at, codes_at, room
        )
        done(team, phase, heads)
        head = take(team, phase, head)
    wait(team, phase, heads)


@compiled
def _feed_forward(places, norms, own, x_at, context, asked, block, room, team, phase):
    """What follows attention: its output, LayerNorm, both layers of the feed-forward, LayerNorm."""
    residual, hidden, neurons = np.int64(RESIDUAL), own.hidden, own.neurons
    pieces = (asked + block - 1) // block
    near, wide = room + own.block, room + own.wide
    piece = take(team, phase, -1)
    while piece < pieces:
        first = piece * block
        size, row = min(block, asked - first), x_at + first * hidden * 4
        source = context + first * hidden * 4
        linear(places[OUT], own, source, size, near, hidden, row, hidden, residual, room)
        for r in range(size):
            normalize(near + r * hidden * 4, norms[0].weight_at, norms[0].bias_at, hidden, own.epsilon)
        linear(places[UP], own, near, size, wide, neurons, near, hidden, own.activation, room)
        linear(places[DOWN], own, wide, size, row, hidden, near, hidden, residual, room)
        for r in range(size):
            normalize(row + r * hidden * 4, norms[1].weight_at, norms[1].bias_at, hidden, own.epsilon)
        done(team, phase, pieces)
        piece = take(team, phase, piece)
    wait(team, phase, pieces)


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
        pooled, one, what = room + own.block, own.is_pooled, own.pooler_activation
        linear(pooler, own, x_at, one, pooled, hidden, x_at, hidden, what, room)
        first, found = floats_at(x_at, hidden), floats_at(pooled, hidden)
        for i in range(hidden):
            first[i] = math.tanh(found[i]) if what == PLAIN else found[i]
    floats.multiply(x_at, hidden, own.head_at, width, own.ones_at, out_at, width, rows, width, hidden)


def answer(
    model_at, lookups_at, places_at, quantizers_at, norms_at, pooler_at, num_layers,
    ids_at, segments_at, length, block, mask_at, x_at, out_at, shared, room, team,
):  # fmt: skip
    """out [1 or S, num_outputs]: what the head makes of the sequence, without its bias; or, out [hidden], the
    mean of its tokens, of length 1.

    At model, lookups [3], places [layers, 6], quantizers [layers, 4], norms [layers, 2], pooler [1]: records
    of MODEL, TABLE, PLACE, QUANTIZER and NORMS; query, key and value that round their input alike are one
    place, the first. At ids, segments: int64 [S]. x: room for S rows. block: rows that go together.

    Threads of a team have all but `room` in common; out is 0 for those that only help.

    Of the last layer a classifier reads but the first row; the others are needed only as keys and values.
    """
    lookups = _lookups_at(lookups_at, 3)
    places = _places_at(places_at, (num_layers, 6))
    quantizers = _quantizers_at(quantizers_at, (num_layers, 4))
    norms = _norms_at(norms_at, (num_layers, 2))
    pooler = _places_at(pooler_at, 1)
    ids, segments = _wholes_at(ids_at, length), _wholes_at(segments_at, length)
    own = _models_at(model_at, 1)[0]
    hidden = own.hidden
    context, codes_at = shared, shared + length * hidden * 4
    rows = own.is_pooled if own.is_pooled else length
    _embed(own, lookups, ids, segments, x_at, block, team)
    for layer in range(num_layers):
        asked, phase = rows if layer == num_layers - 1 else length, 1 + 3 * layer
        _project(places[layer], quantizers[layer], own, x_at, length, block, codes_at, room, team, phase)
        _attend(quantizers[layer], own, context, length, asked, mask_at, codes_at, room, team, phase + 1)
        _feed_forward(places[layer], norms[layer], own, x_at, context, asked, block, room, team, phase + 2)
    if not out_at:
        return
    if own.is_mean:
        mean_of_tokens(x_at, mask_at, out_at, length, hidden)
    else:
        head(own, pooler[0], x_at, out_at, rows, room)
