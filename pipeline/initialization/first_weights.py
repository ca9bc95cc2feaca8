"""A model's first weights, part by part: copied from another model or drawn, and a note of which.

Drawing part of a model anew is Ardakani's idea (Findings of EMNLP 2022: pre-trained embeddings, random
encoder). The paper's abstract does not fix the distribution; BERT's own initialization is our reconstruction:
matrices and tables from N(0, initializer_range), biases zero, LayerNorm one and zero.

Every tensor is drawn from a generator of its own, made of the seed and the tensor's name: what is drawn for a
part does not depend on which others are drawn, so arms that differ in one part share the rest.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline import rungs
from pipeline.parts import choose, every_part, layers_in, part_of
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


@dataclass(frozen=True)
class Draw:
    """How to draw a part.

    Attributes:
        distribution: normal; uniform on both sides of zero; orthogonal rows or columns, whichever are fewer.
        std: standard deviation of one weight, whatever the distribution.
    """

    distribution: Literal["normal", "uniform", "orthogonal"]
    std: float
    seed: int


Origin = Source | Draw


def origins(
    wanted: Mapping[str, rungs.Origin],
    num_layers: int,
    *,
    parent: Source,
    teacher: Callable[[], Source],
    std: float,
    seed: int,
) -> dict[str, Origin]:
    """The origin of every smallest part of a rung, as its `init` in params.yaml says.

    What no selector names is the parent's. `teacher` is called where parts are copied from it, not elsewhere.

    Raises:
        ValueError: a selector names no part of a model with so many layers, or two contradict each other.
    """

    def origin(how: rungs.Origin) -> Origin:
        if how.is_drawn:
            own_seed = seed if how.seed is None else how.seed
            return Draw(how.distribution or "normal", how.std or std, own_seed)
        return teacher() if how.copy_from == "teacher" else parent

    chosen = choose(wanted, num_layers)
    return {part: origin(wanted[selector]) if selector else parent for part, selector in chosen.items()}


def teacher_start(
    wanted: Mapping[str, Tensor], source: Source, *, std: float, seed: int
) -> tuple[dict[str, Tensor], list[Part]]:
    """First weights of the teacher, of a pre-trained BERT: embeddings and encoder copied, the head drawn.

    A BERT pre-trained on masked words alone has no pooler: it is drawn then, and the note says so.
    Raises ValueError when the source lacks a weight of the embeddings or the encoder.
    """
    has_pooler = all(name in source.state for name in wanted if part_of(name) == "pooler")
    drawn = ("head",) if has_pooler else ("pooler", "head")
    parts = every_part(layers_in(part_of(name) for name in wanted))
    return assemble(wanted, {part: Draw("normal", std, seed) if part in drawn else source for part in parts})


def assemble(
    wanted: Mapping[str, Tensor], origins: Mapping[str, Origin]
) -> tuple[dict[str, Tensor], list[Part]]:
    """Return first values for the tensors of `wanted` (names and shapes) and a note per part that it has.

    What quantizers keep is not BERT's: it is left unset, for `step_sizes.calibrate`. The parent's steps would
    be steps between other levels.

    Raises:
        ValueError: a weight to be copied is missing from its source or has another shape there.
    """
    state = {}
    for name, tensor in wanted.items():
        origin = origins[part_of(name)]
        if of_quantizer(name):
            state[name] = tensor.clone()
        elif isinstance(origin, Source):
            state[name] = _copied(name, tensor.shape, origin)
        else:
            state[name] = draw(name, tensor.shape, origin)
    there = {part_of(name) for name in wanted}  # a question-answering model has no pooler
    return state, [_note(part, origin) for part, origin in origins.items() if part in there]


def of_quantizer(name: str) -> bool:
    """Whether a tensor belongs to a quantizer, of weights or activations, rather than to BERT."""
    return not {"activation", "products", "quantizer"}.isdisjoint(name.split("."))


def draw(name: str, shape: torch.Size, how: Draw) -> Tensor:
    """First values of the parameter of that name: a bias and a LayerNorm are never random."""
    if name.endswith(".bias"):
        return torch.zeros(shape)
    if "LayerNorm" in name:
        return torch.ones(shape)
    digest = hashlib.sha256(f"{how.seed} {name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    values = torch.empty(shape)
    if how.distribution == "orthogonal":
        # Orthonormal rows have entries of mean square 1 / columns.
        return nn.init.orthogonal_(values, gain=how.std * max(shape) ** 0.5, generator=generator)
    if how.distribution == "uniform":
        end = 3**0.5 * how.std
        return values.uniform_(-end, end, generator=generator)
    return values.normal_(0.0, how.std, generator=generator)


def _copied(name: str, shape: torch.Size, source: Source) -> Tensor:
    found = source.state.get(name)
    if found is None or found.shape != shape:
        there = "nothing" if found is None else tuple(found.shape)
        raise ValueError(
            f"{name} should be {tuple(shape)}; {source.model}, which it is copied from, has {there}"
        )
    return found.to(torch.float32, copy=True)


def _note(part: str, origin: Origin) -> Part:
    """What the record says of a part."""
    if isinstance(origin, Source):
        return Part(part, "copied", model=origin.model, digest=origin.digest, through=origin.through or None)
    if part.endswith(("norm", "norms")):
        return Part(part, "drawn", distribution="constant, 1 and 0")
    return Part(part, "drawn", distribution=origin.distribution, std=origin.std, seed=origin.seed)
