"""What Python tells the kernels of a model, and the memory it gives them: records of addresses and sizes.

Nothing here needs a compiler: a process that finds the machine code on disk never imports one.
"""

import numpy as np

PHASE_SIZE = 192  # bytes of a phase in team.py
QUERIES = 32  # that go together in attention: their scores stay near
LARGEST = 8192  # inputs or outputs of a linear layer
PER_TOKEN, STEP, BITS, EXACT = range(4)  # ways to quantize; the last one: not at all
PLAIN, RESIDUAL, GELU, RELU = range(4)  # what follows
QUERY, KEY, VALUE, OUT, UP, DOWN = range(6)  # the linear layers of a layer
PROBABILITIES = 3  # after the first three, in the quantizers of a self-attention
WORD, POSITION, SEGMENT = range(3)
HEAD_LANES = 16  # the head's outputs are padded to a multiple of this

# One linear layer. Those that end in _at are addresses of arrays; one entry per output, but shift: per input.
PLACE = np.dtype(
    [
        ("num_inputs", np.int64),
        ("num_outputs", np.int64),
        ("quantizer", np.int64),
        ("multiply_at", np.int64),  # machine code, see products.py
        ("panel", np.int64),  # outputs that are multiplied, and finished, at a time
        ("output_bytes", np.int64),  # of the weights of one output
        ("weights_at", np.int64),
        # Product = factor * (what multiply gives) + row_factor * (sum of the row's codes) + constant.
        ("factor", np.int64),
        ("row_factor", np.int64),
        ("constant", np.int64),
        ("scale_at", np.int64),  # float32, times the step of the codes where that is one for all
        ("shifted_at", np.int64),  # float32, what the activations' offset adds
        ("bias_at", np.int64),  # float32
        ("shift_at", np.int64),  # float32, taken from the activations before they become bits
        ("step", np.float32),  # of the codes; per token: largest code
        ("offset", np.float32),
        ("low", np.float32),
        ("high", np.float32),
        ("threshold", np.float32),
        ("unit", np.float32),  # what the threshold is in
    ],
    align=True,
)

# One of the four quantizers of a self-attention; the fields are PLACE's.
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
# What a layer has beside them: LayerNorm's weight and bias, after OUT and after DOWN.
NORMS = np.dtype([("weight_at", np.int64), ("bias_at", np.int64)], align=True)

# One table; those that end in _at are addresses.
TABLE = np.dtype(
    [
        ("rows_at", np.int64),
        ("row_bytes", np.int64),
        ("bits", np.int64),
        ("scale_at", np.int64),  # float32
        ("scale_step", np.int64),  # 1 where each row has its own, 0 where all share one
    ],
    align=True,
)

# What a model has but once. Those that end in _at are addresses of float32.
MODEL = np.dtype(
    [
        ("hidden", np.int64),
        ("num_heads", np.int64),
        ("neurons", np.int64),
        ("activation", np.int64),  # GELU or RELU
        ("is_pooled", np.int64),  # whether the head reads the pooled first token
        ("is_mean", np.int64),  # whether there is no head: the mean of the tokens is what is asked for
        ("pooler_activation", np.int64),  # GELU or RELU; PLAIN: tanh follows
        ("num_outputs", np.int64),  # of the head, padded
        ("head_at", np.int64),  # [hidden, num_outputs]
        ("norm_weight_at", np.int64),  # of the embeddings
        ("norm_bias_at", np.int64),
        ("ones_at", np.int64),  # as many as the longest sequence
        ("scores_at", np.int64),  # machine code: products with the codes of keys, of 8 bits
        ("raised", np.int64),  # what it wants added to the codes of keys
        ("code_bytes", np.int64),  # of what attention reads: 1, or 4 where nothing is rounded
        # Bytes from the beginning of a thread's own room: what rows have, codes, sums, ...
        ("codes", np.int64),
        ("sums", np.int64),
        ("scratch", np.int64),  # the products' own
        ("heads", np.int64),  # queries, keys and values of a block
        ("block", np.int64),
        ("wide", np.int64),
        ("rest", np.int64),  # attention's own
        ("epsilon", np.float32),
    ],
    align=True,
)


def lay_room(own: "np.void", *, rows: int, panel: int, scratch: int) -> None:
    """Fill in the offsets of a MODEL whose sizes are there, for blocks of so many rows; the sums are the
    largest of `panel` outputs."""
    hidden, neurons = int(own["hidden"]), int(own["neurons"])
    sizes = {
        "codes": rows * 8,
        "sums": rows * max(hidden, neurons),
        "scratch": rows * panel * 4,
        "heads": scratch,
        "block": rows * 3 * hidden * 4,
        "wide": rows * hidden * 4,
        "rest": rows * neurons * 4,
    }
    at = 0
    for name, before in sizes.items():
        at += before + -before % 64
        own[name] = at


def own_room(own: "np.void", length: int) -> int:
    """Bytes that each thread needs for a sequence of so many tokens."""
    padded, head_size = length + -length % 16, int(own["hidden"] // own["num_heads"])
    return int(own["rest"]) + padded * (8 * head_size + 4 * QUERIES) + 64


def team_size(layers: int) -> int:
    """Bytes of a team: the tables, and in each layer the projections, attention and the feed-forward."""
    return PHASE_SIZE * (1 + 3 * layers)


def shared_room(own: "np.void", length: int) -> int:
    """Bytes that all threads share: the context, codes of queries, keys and values with their steps."""
    hidden, heads = int(own["hidden"]), int(own["num_heads"])
    padded = length + -length % 16
    # A product may read the rows of a whole block after the last.
    return length * hidden * 4 + (padded + QUERIES) * 3 * (hidden * int(own["code_bytes"]) + 8 * heads)
