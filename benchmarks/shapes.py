"""The shapes of the BERTs that are measured. Nothing here imports torch."""

from typing import NamedTuple


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
