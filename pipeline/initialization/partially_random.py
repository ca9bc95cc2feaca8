"""Draw a part of a model anew (Ardakani, Findings of EMNLP 2022: pre-trained embeddings, random encoder).

The paper's abstract does not fix the distribution; BERT's own initialization is our reconstruction: matrices
and tables from N(0, initializer_range), biases zero, LayerNorm one and zero.

Every tensor is drawn from a generator of its own, made of the seed and the tensor's name: what is drawn for a
part does not depend on which others are drawn, so arms that differ in one part share the rest.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Distribution = Literal["normal", "uniform", "orthogonal"]


@dataclass(frozen=True)
class Draw:
    """How to draw a part.

    Attributes:
        distribution: normal; uniform on both sides of zero; orthogonal rows or columns, whichever are fewer.
        std: standard deviation of one weight, whatever the distribution.
    """

    distribution: Distribution
    std: float
    seed: int


def draw(name: str, shape: torch.Size, how: Draw) -> Tensor:
    """First values of the parameter of that name: a bias and a LayerNorm are never random."""
    if name.endswith(".bias"):
        return torch.zeros(shape)
    if "LayerNorm" in name:
        return torch.ones(shape)
    generator = torch.Generator().manual_seed(_seed_of(name, how.seed))
    values = torch.empty(shape)
    if how.distribution == "orthogonal":
        # Orthonormal rows have entries of mean square 1 / columns.
        return nn.init.orthogonal_(values, gain=how.std * max(shape) ** 0.5, generator=generator)
    if how.distribution == "uniform":
        end = 3**0.5 * how.std
        return values.uniform_(-end, end, generator=generator)
    return values.normal_(0.0, how.std, generator=generator)


def _seed_of(name: str, seed: int) -> int:
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
