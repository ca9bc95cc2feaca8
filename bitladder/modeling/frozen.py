"""A frozen teacher's forward pass: the same layers, their products as fast as this machine has them.

In float32 the products go through oneDNN. In bfloat16 the encoder's weights are rounded once, and so is what
each of its linears reads; sums, LayerNorms, softmax, pooler and head stay in float32.

A teacher that is a rung answers as it is scored, to the last bit. All that changes is that quantized weights
which products see as floats are computed once, and not in every step.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertSelfAttention

from bitladder.modeling.bert import precision_of
from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear
from bitladder.modeling.routines import Routines, product
from bitladder.quantizers.precision import FULL


class FrozenLinear(nn.Linear):
    """A linear layer that is not trained and computes in its weight's dtype."""

    routines: Routines

    def forward(self, input: Tensor) -> Tensor:
        return product(input.to(self.weight.dtype), self.weight, self.bias, self.routines)


def convert(model: nn.Module, routines: Routines) -> None:
    """Make a frozen model's layers compute with `routines`, in place; no more training or saving after it."""
    _quantize_once(model)
    if not routines.fused:
        return
    bert = cast("Any", model).bert
    for part in bert.encoder.modules():
        if type(part) is nn.Linear:
            part.__class__ = FrozenLinear
            part.to(routines.gradients)
        if isinstance(part, FrozenLinear | BertSelfAttention):
            part.routines = routines


@torch.no_grad()
def _quantize_once(model: nn.Module) -> None:
    """Put quantized weights in the latent ones' place: of tables, and of linears whose input stays a float.

    Where activations are whole numbers so are the weights they meet, and those are left to their quantizers.
    """
    meets_floats = precision_of(cast("Any", model).config).activations == FULL
    for part in model.modules():
        if isinstance(part, QuantizedEmbedding):
            part.weight.copy_(part.quantizer.quantize(part.weight).values_OI)
            part.__class__ = nn.Embedding  # type: ignore[assignment]
        elif isinstance(part, QuantizedLinear) and part.quantizer is not None and meets_floats:
            part.weight.copy_(part.quantizer.quantize(part.weight).values_OI)
            part.quantizer = None
