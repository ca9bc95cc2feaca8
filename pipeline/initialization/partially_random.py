"""Draw a part of a model anew (Ardakani, Findings of EMNLP 2022: pre-trained embeddings, random encoder).

The paper's abstract does not fix the distribution; BERT's own initialization is our reconstruction: linears
and tables from N(0, initializer_range), biases zero, LayerNorm one and zero.
"""

import torch
from torch import Tensor

PARTS = ("embeddings", "encoder", "pooler", "head")


def part_of(name: str) -> str:
    """Which of PARTS a parameter belongs to, from its name in a BERT classifier."""
    if name.startswith("classifier."):
        return "head"
    part = name.split(".")[1]
    assert part in PARTS, name
    return part


def draw(name: str, shape: torch.Size, *, std: float, generator: torch.Generator) -> Tensor:
    """A tensor as BERT initializes the parameter of that name."""
    if name.endswith(".bias"):
        return torch.zeros(shape)
    if "LayerNorm" in name:
        return torch.ones(shape)
    return torch.empty(shape).normal_(0.0, std, generator=generator)


def distribution(std: float) -> str:
    return f"normal(0, {std}); biases 0; LayerNorm 1, 0"
