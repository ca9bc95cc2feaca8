"""Self-attention that quantizes both products' inputs and hands out its scores, without copying BERT's code.

Registered with transformers' AttentionInterface *and* AttentionMaskInterface. Without the second the mask
would arrive as None and padding would silently be attended.

Shapes: q, k, v are [B, H, S, D]; scores are [B, H, S, S], before the mask and the softmax.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from pipeline.quantizers.activation import ActivationQuantizer, activation_quantizer
from pipeline.quantizers.choose import FULL

NAME = "bitladder"


class AttentionQuantizers(nn.Module):
    """The four activation quantizers of one self-attention: query, key, probabilities, value."""

    def __init__(self, bits: int, *, num_heads: int, head_size: int) -> None:
        super().__init__()
        shape = (num_heads, 1, head_size)
        self.query = activation_quantizer(bits, signed=True, shift_shape=shape)
        self.key = activation_quantizer(bits, signed=True, shift_shape=shape)
        self.value = activation_quantizer(bits, signed=True, shift_shape=shape)
        self.probabilities = activation_quantizer(bits, signed=False, shift_shape=None)


def attach(self_attention: nn.Module, bits: int, *, num_heads: int, head_size: int) -> None:
    """Give a BertSelfAttention its activation quantizers; 32 bits leaves it as it is."""
    if bits != FULL:
        self_attention.products = AttentionQuantizers(bits, num_heads=num_heads, head_size=head_size)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Return the context [B, S, H, D] and, in place of the probabilities, the scores [B, H, S, S]."""
    products: AttentionQuantizers | None = getattr(module, "products", None)
    if products is not None:
        query, key, value = products.query(query), products.key(key), products.value(value)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query, key.transpose(2, 3)) * scale
    masked = scores if attention_mask is None else scores + attention_mask
    probabilities = functional.softmax(masked, dim=-1)
    probabilities = functional.dropout(probabilities, dropout, training=module.training)
    if products is not None:
        probabilities = products.probabilities(probabilities)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), scores


def activation_quantizers(model: nn.Module) -> dict[str, ActivationQuantizer]:
    """Every activation quantizer of a model by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, ActivationQuantizer)}


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, eager_mask)
