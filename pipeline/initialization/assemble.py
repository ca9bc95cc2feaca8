"""Put a student's first weights together, part by part, and write down where each part came from."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pipeline.initialization.partially_random import PARTS, distribution, draw, part_of
from pipeline.record import Part

Origin = Literal["copy", "random"]


@dataclass(frozen=True)
class Source:
    """The model that weights are copied from: its latent tensors and the sha256 of their file."""

    state: dict[str, Tensor]
    digest: str


def assemble(
    wanted: dict[str, Tensor], source: Source, origins: dict[str, Origin], *, std: float, seed: int
) -> tuple[dict[str, Tensor], list[Part]]:
    """Return first values for the tensors of `wanted` (names and shapes) and a note per part.

    Activation steps and shifts are not weights: they are left unset, for `step_sizes.calibrate`. The parent's
    would be steps between other levels.

    Raises:
        ValueError: a weight to be copied is missing from the source or has another shape there.
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, tensor in wanted.items():
        if is_activation(name):
            state[name] = tensor.clone()
        elif origins[part_of(name)] == "random":
            state[name] = draw(name, tensor.shape, std=std, generator=generator)
        else:
            state[name] = _copied(name, tensor, source)
    return state, [_note(part, origins[part], source, std, seed) for part in PARTS]


def is_activation(name: str) -> bool:
    """Whether a tensor belongs to an activation quantizer rather than to BERT."""
    return name.rsplit(".", 1)[-1] in ("log_step", "offset", "shift")


def _copied(name: str, tensor: Tensor, source: Source) -> Tensor:
    if name not in source.state or source.state[name].shape != tensor.shape:
        found = tuple(source.state[name].shape) if name in source.state else "nothing"
        raise ValueError(f"init_from: {name} should be {tuple(tensor.shape)}; the parent has {found}")
    return source.state[name].clone()


def _note(part: str, origin: Origin, source: Source, std: float, seed: int) -> Part:
    if origin == "copy":
        return Part(part, "copied", digest=source.digest)
    return Part(part, "drawn", distribution=distribution(std), seed=seed)
