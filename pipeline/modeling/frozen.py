"""A frozen teacher's forward pass: the same layers, their products as fast as this machine has them.

In float32 the products go through oneDNN. In bfloat16 the encoder's weights are rounded once, and so is what
each of its linears reads; sums, LayerNorms, softmax, pooler and head stay in float32.
"""

from typing import Any, cast

from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertSelfAttention

from pipeline.modeling.kernels import Kernels, product


class FrozenLinear(nn.Linear):
    """A linear layer that is not trained and computes in its weight's dtype."""

    kernels: Kernels

    def forward(self, input: Tensor) -> Tensor:
        return product(input.to(self.weight.dtype), self.weight, self.bias, self.kernels)


def convert(model: nn.Module, kernels: Kernels) -> None:
    """Make the encoder's layers of a frozen full-precision classifier compute with `kernels`, in place."""
    if not kernels.fused:
        return
    bert = cast("Any", model).bert
    for part in bert.encoder.modules():
        if type(part) is nn.Linear:
            part.__class__ = FrozenLinear
            part.to(kernels.gradients)
        if isinstance(part, FrozenLinear | BertSelfAttention):
            part.kernels = kernels
