"""Put a model's first weights together, part by part, and write down where each part came from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.initialization.partially_random import Draw, draw
from pipeline.parts import part_of
from pipeline.record import Part


@dataclass(frozen=True)
class Source:
    """A model that weights are copied from.

    Attributes:
        model: its name.
        state: its latent tensors, under the names of the model that is put together.
        digest: sha256 of the file they were read from.
        through: what was done to fit them to the new model; empty where they are the file's own.
    """

    model: str
    state: Mapping[str, Tensor]
    digest: str
    through: str = ""


Origin = Source | Draw


def assemble(
    wanted: Mapping[str, Tensor], origins: Mapping[str, Origin]
) -> tuple[dict[str, Tensor], list[Part]]:
    """Return first values for the tensors of `wanted` (names and shapes) and a note per part that it has.

    What quantizers keep is not BERT's: it is left unset, for `step_sizes.calibrate`. The parent's steps would
    be steps between other levels.

    Raises:
        ValueError: a weight to be copied is missing from its source or has another shape there.
    """
    state = {name: _first(name, tensor, origins) for name, tensor in wanted.items()}
    there = {part_of(name) for name in wanted}  # a question-answering model has no pooler
    return state, [note(part, origin) for part, origin in origins.items() if part in there]


def note(part: str, origin: Origin) -> Part:
    """What the record says of a part."""
    if isinstance(origin, Source):
        return Part(part, "copied", model=origin.model, digest=origin.digest, through=origin.through or None)
    if part.endswith(("norm", "norms")):
        return Part(part, "drawn", distribution="constant, 1 and 0")
    return Part(part, "drawn", distribution=origin.distribution, std=origin.std, seed=origin.seed)


def of_quantizer(name: str) -> bool:
    """Whether a tensor belongs to a quantizer, of weights or activations, rather than to BERT."""
    return not {"activation", "products", "quantizer"}.isdisjoint(name.split("."))


def _first(name: str, tensor: Tensor, origins: Mapping[str, Origin]) -> Tensor:
    if of_quantizer(name):
        return tensor.clone()
    origin = origins[part_of(name)]
    return _copied(name, tensor, origin) if isinstance(origin, Source) else draw(name, tensor.shape, origin)


def _copied(name: str, tensor: Tensor, source: Source) -> Tensor:
    found = source.state.get(name)
    if found is None or found.shape != tensor.shape:
        there = "nothing" if found is None else tuple(found.shape)
        raise ValueError(
            f"{name} should be {tuple(tensor.shape)}; {source.model}, which it is copied from, has {there}"
        )
    return found.to(torch.float32, copy=True)
