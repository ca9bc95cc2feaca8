"""A whole model on one sequence, from token ids to logits, in one call of compiled code.

It is the only function that Python calls of a running model, so the only one whose machine code is kept.
"""

import math

import numpy as np

from pipeline.packing.kernels import encoder, floats, linear, tables
from pipeline.packing.kernels.compiling import floats_at, kept

HEAD_LANES = 16  # the head's outputs are padded to a multiple of this
# What a model has but once. Those that end in _at are addresses of float32.
MODEL = np.dtype(
    [
        ("hidden", np.int64),
        ("num_heads", np.int64),
        ("neurons", np.int64),
        ("activation", np.int64),  # linear.GELU or RELU
        ("is_pooled", np.int64),  # whether the head reads the pooled first token, or each token
        ("num_outputs", np.int64),  # of the head, padded
        ("head_at", np.int64),  # [hidden, num_outputs]
        ("norm_weight_at", np.int64),  # of the embeddings
        ("norm_bias_at", np.int64),
        ("ones_at", np.int64),  # as many as the longest sequence
        ("epsilon", np.float32),
    ],
    align=True,
)


@kept
def answer(model, lookups, places, quantizers, norms, pooler, ids, segments, mask_at, x_at, out_at, room):
    """out [1 or S, num_outputs]: what the head makes of the sequence, without its bias.

    model, lookups [3], places [layers, 6], quantizers [layers, 4], norms [layers, 2], pooler [1]: records of
    MODEL, tables.TABLE and of what `encoder.encode` takes. ids, segments: int64 [S]. x_at: room for S rows.
    """
    own, length = model[0], len(ids)
    hidden, epsilon = own.hidden, own.epsilon
    tables.embed(lookups, ids, segments, x_at, hidden, own.norm_weight_at, own.norm_bias_at, epsilon)
    rows = own.is_pooled if own.is_pooled else length
    encoder.encode(
        places,
        quantizers,
        norms,
        x_at,
        length,
        rows,
        hidden,
        own.num_heads,
        own.neurons,
        mask_at,
        epsilon,
        own.activation,
        room,
    )
    width = own.num_outputs
    if own.is_pooled:
        # Neither number is a literal, so that `linear` is compiled only once.
        pooled, one, plain = room + linear.ROOM, own.is_pooled, np.int64(linear.PLAIN)
        linear.linear(pooler[0], x_at, hidden, one, pooled, hidden, x_at, hidden, plain, room)
        first, found = floats_at(x_at, hidden), floats_at(pooled, hidden)
        for i in range(hidden):
            first[i] = math.tanh(found[i])
    floats.multiply(x_at, hidden, own.head_at, width, own.ones_at, out_at, width, rows, width, hidden)
