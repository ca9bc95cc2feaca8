"""First weights of the teacher: a pre-trained BERT with a new classification head."""

from collections.abc import Mapping

from torch import Tensor

from pipeline.initialization.assemble import Origin, Source, assemble
from pipeline.initialization.partially_random import Draw
from pipeline.parts import every_part, layers_in, part_of
from pipeline.record import Part


def teacher_start(
    wanted: Mapping[str, Tensor], source: Source, *, std: float, seed: int
) -> tuple[dict[str, Tensor], list[Part]]:
    """Copy embeddings and encoder, draw the head; copy the pooler where the source has one.

    A BERT pre-trained on masked words alone has no pooler: it is drawn then, and the note says so.
    Raises ValueError when the source lacks a weight of the embeddings or the encoder.
    """
    has_pooler = all(name in source.state for name in wanted if part_of(name) == "pooler")
    drawn = ("head",) if has_pooler else ("pooler", "head")
    parts = every_part(layers_in(part_of(name) for name in wanted))
    origins: dict[str, Origin] = {
        part: Draw("normal", std, seed) if part in drawn else source for part in parts
    }
    return assemble(wanted, origins)


def longest_input(state: Mapping[str, Tensor]) -> int:
    """How many tokens the position table has room for."""
    table = state["bert.embeddings.position_embeddings.weight"]
    return int(table.shape[0])
