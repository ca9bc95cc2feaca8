"""First weights of a narrower model: the teacher's most important heads and feed-forward neurons.

DynaBERT (Hou et al., arXiv:2004.04037) ranks a head by how much the loss changes when its output is scaled,
and a neuron likewise. The derivative by that scale is the sum of weight times gradient over what reads it:

    head h: |sum of W * dW over its columns of o|          neuron j: |sum of W * dW over column j of ffn2|

added up over batches. Ours: DynaBERT also counts the weights before a neuron, trains at several widths at
once and so gets a network meant to be narrowed; here the task's own teacher is cut once, and the rung trains.

Shapes: L layers, H heads, F neurons.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bitladder.modeling.bert import Bert

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Kept:
    """Of each layer, the numbers of the heads and neurons that are kept, in their old order."""

    heads: list[list[int]]
    neurons: list[list[int]]


def importance(
    model: Bert, batches: Iterable[Batch], loss: Callable[[Any, Batch], Tensor]
) -> tuple[Tensor, Tensor]:
    """How much the loss depends on each head [L, H] and neuron [L, F] of a full-precision model, 0 or more.

    The model's gradients are None afterwards, as before.
    """
    layers: Any = model.bert.encoder.layer
    size = layers[0].attention.self.attention_head_size
    heads_LH, neurons_LF = [torch.zeros(())] * len(layers), [torch.zeros(())] * len(layers)
    for batch in batches:
        loss(model, batch).backward()  # type: ignore[no-untyped-call]
        for number, layer in enumerate(layers):
            of_columns = _by_column(layer.attention.output.dense.weight)
            heads_LH[number] = heads_LH[number] + of_columns.view(-1, size).sum(dim=1).abs()
            neurons_LF[number] = neurons_LF[number] + _by_column(layer.output.dense.weight).abs()
        model.zero_grad(set_to_none=True)
    return torch.stack(heads_LH), torch.stack(neurons_LF)


def most_important(heads_LH: Tensor, neurons_LF: Tensor, *, num_heads: int, num_neurons: int) -> Kept:
    """So many of each layer; of equals, the ones that come first."""
    return Kept(_largest(heads_LH, num_heads), _largest(neurons_LF, num_neurons))


def narrow_state(state: Mapping[str, Tensor], kept: Kept, *, head_size: int) -> dict[str, Tensor]:
    """The latent tensors of the whole model, less the heads and neurons that are not kept."""
    found = dict(state)
    for number, (heads, neurons) in enumerate(zip(kept.heads, kept.neurons, strict=True)):
        layer = f"bert.encoder.layer.{number}"
        rows = [head * head_size + place for head in heads for place in range(head_size)]
        for name in ("query", "key", "value"):
            for kind in ("weight", "bias"):
                _keep(found, f"{layer}.attention.self.{name}.{kind}", rows, dim=0)
        _keep(found, f"{layer}.attention.output.dense.weight", rows, dim=1)
        for kind in ("weight", "bias"):
            _keep(found, f"{layer}.intermediate.dense.{kind}", neurons, dim=0)
        _keep(found, f"{layer}.output.dense.weight", neurons, dim=1)
    return found


def _by_column(weight_OI: Tensor) -> Tensor:
    assert weight_OI.grad is not None
    return (weight_OI.detach() * weight_OI.grad).sum(dim=0)


def _largest(scores_LN: Tensor, count: int) -> list[list[int]]:
    order_LN = scores_LN.argsort(dim=1, descending=True, stable=True)[:, :count]
    kept: list[list[int]] = order_LN.sort(dim=1).values.tolist()
    return kept


def _keep(state: dict[str, Tensor], name: str, places: list[int], *, dim: int) -> None:
    state[name] = state[name].index_select(dim, torch.tensor(places))
