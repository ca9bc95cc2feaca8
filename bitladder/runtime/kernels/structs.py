"""What Python tells the kernels of a model, and the memory it gives them: records of addresses and sizes.

Nothing here needs a compiler: a process that finds the machine code on disk never imports one.
"""

import numpy as np

from bitladder.runtime.kernels.memory_order import CHUNK, TABLES_SIZE

ROWS = 8  # of a block
QUERIES = 24  # that go together in attention: their scores stay near, and both products' tiles divide it
LARGEST = 8192  # inputs or outputs that a block has room for
LOOKUP, DOT_1, DOT_2, DOT_4, DOT_8, DIFFERING, COMMON = range(7)  # ways to multiply
PER_TOKEN, STEP, BITS = range(3)  # ways to quantize
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
        ("product", np.int64),
        ("quantizer", np.int64),
        ("weights_at", np.int64),
        ("column_at", np.int64),  # int32, added to the products
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
        ("epsilon", np.float32),
    ],
    align=True,
)

# Room for one block: codes, sums, tables of the look-up, what rows have of their own.
CODES, SUMS, TABLES = 0, ROWS * LARGEST, ROWS * LARGEST * 5
OF_ROWS = TABLES + CHUNK * 4 * TABLES_SIZE
ROOM = OF_ROWS + ROWS * 8


def room_for(length: int, hidden: int, neurons: int, head_size: int) -> int:
    """Bytes that `sequence.encode` needs for a sequence of so many tokens."""
    rows = ROWS * (4 * hidden + neurons) + length * hidden
    padded = (length + 15) // 16 * 16
    attention = padded * (3 * (hidden + 8 * (hidden // head_size)) + 5 * head_size + 4 * QUERIES)
    return int(ROOM + rows * 4 + attention)
