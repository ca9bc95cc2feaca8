"""First weights of the teacher: a pre-trained BERT with a new classification head."""

import torch
from torch import Tensor

from pipeline.initialization.assemble import Source, assemble
from pipeline.initialization.partially_random import part_of
from pipeline.record import Part


def teacher_start(
    wanted: dict[str, Tensor], source: Source, *, std: float, seed: int
) -> tuple[dict[str, Tensor], list[Part]]:
    """Copy embeddings and encoder, draw the head; copy the pooler where the source has one.

    A BERT pre-trained on masked words alone has no pooler: it is drawn then, and the note says so.
    Raises ValueError when the source lacks a weight of the embeddings or the encoder.
    """
    has_pooler = all(name in source.state for name in wanted if part_of(name) == "pooler")
    return assemble(
        wanted,
        source,
        {
            "embeddings": "copy",
            "encoder": "copy",
            "pooler": "copy" if has_pooler else "random",
            "head": "random",
        },
        std=std,
        seed=seed,
    )


def longest_input(state: dict[str, Tensor]) -> int:
    """How many tokens the position table has room for."""
    table: torch.Tensor = state["bert.embeddings.position_embeddings.weight"]
    return int(table.shape[0])
