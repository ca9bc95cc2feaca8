"""The shapes of the BERTs that are measured, and what they read. Nothing here imports torch."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = dict[str, NDArray[np.int64]]


class Shape(NamedTuple):
    """The sizes in which the models differ; all have two labels."""

    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    num_attention_heads: int = 12
    vocab_size: int = 30522
    max_position_embeddings: int = 512


SHAPES = {
    "bert-base": Shape(768, 12, 3072),
    "minilm": Shape(384, 6, 1536),
    "demo": Shape(64, 3, 256, num_attention_heads=4, vocab_size=240, max_position_embeddings=32),
}


def spread_ids(rows: int, tokens: int, *, vocab_size: int) -> Ids:
    """Words from all over the vocabulary, mask and types, each [rows, tokens]; nothing is padded."""
    words = (np.arange(rows * tokens).reshape(rows, tokens) * 7919 + tokens) % (vocab_size - 5) + 5
    return {"input_ids": words, "attention_mask": np.ones_like(words), "token_type_ids": np.zeros_like(words)}
