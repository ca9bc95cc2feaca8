"""Self-attention that quantizes both products' inputs and hands out its scores, without copying BERT's code.

Registered with transformers' AttentionInterface *and* AttentionMaskInterface. Without the second the mask
would arrive as None and padding would silently be attended. What stands below is the reference, in plain
autograd; attend.py has the same as one function.

Bi-Attention (BiBERT, Qin et al., arXiv:2203.06390) has no softmax. A token attends to those whose score, of
the signs of query and key, is not negative, and to all of them alike: attention is {0, 1}, and the context is
the sum of the attended values, not scaled; zero where nothing is attended to. A masked key has a score far
below zero. Scores of signs are whole numbers times D^-1/2, so that zero, as one in ten is with 64 features,
is zero on every machine. Dropout takes attended tokens away and does not scale the others up.

Shapes: q, k, v are [B, H, S, D]; scores are [B, H, S, S], before the mask and the softmax.
"""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask
from transformers.models.bert.modeling_bert import BertSelfAttention

from bitladder.modeling.attend import attend, rounded
from bitladder.modeling.layers import joined, share_codes
from bitladder.modeling.routines import PLAIN, Routines, choose
from bitladder.modeling.traces import show_heads
from bitladder.quantizers.activation import ActivationQuantizer, activation_quantizer
from bitladder.quantizers.gradual import partly
from bitladder.quantizers.precision import FULL, Precision
from bitladder.quantizers.sign import Sign

NAME = "bitladder"


class AttentionQuantizers(nn.Module):
    """The four activation quantizers of one self-attention: query, key, probabilities, value.

    Attributes:
        bi: Bi-Attention, of which the scores take the probabilities' place.
    """

    def __init__(
        self, bits: int, *, num_heads: int, head_size: int, name: str | None = None, bi: bool = False
    ) -> None:
        super().__init__()
        self.bi = bi

        def centred() -> ActivationQuantizer:
            return activation_quantizer(bits, signed=True, shift_shape=(num_heads, 1, head_size), name=name)

        self.query = Sign(signed=True) if bi else centred()
        self.key = Sign(signed=True) if bi else centred()
        self.value = centred()
        self.probabilities: ActivationQuantizer = (
            Sign(signed=False)
            if bi
            else activation_quantizer(bits, signed=False, shift_shape=None, name=name)
        )

    def show(self, heads: Iterable[Tensor]) -> list[ActivationQuantizer]:
        """Show query, key and value to their quantizers, and return these."""
        quantizers = [self.query, self.key, self.value]
        for quantizer, x in zip(quantizers, heads, strict=True):
            quantizer.show(x)
        return quantizers


class QuantizedSelfAttention(BertSelfAttention):
    """Self-attention with quantized products; query, key and value that share their codes share one product.

    Attributes:
        products: the activation quantizers; None where activations stay floats.
    """

    routines: Routines
    products: AttentionQuantizers | None

    @staticmethod
    def convert(layer: BertSelfAttention, precision: Precision) -> None:
        """Turn `layer` into a QuantizedSelfAttention, in place."""
        layer.__class__ = QuantizedSelfAttention
        converted = cast("QuantizedSelfAttention", layer)
        converted.routines = choose()
        converted.products = None
        if precision.activations != FULL:
            converted.products = AttentionQuantizers(
                precision.activations,
                num_heads=layer.num_attention_heads,
                head_size=layer.attention_head_size,
                name=precision.activation_quantizer,
                bi=precision.attention == "bi",
            )

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        **options: Any,
    ) -> tuple[Tensor, Tensor]:
        layers = (self.query, self.key, self.value)
        dropout = self.dropout.p if self.training else 0.0
        if not self.routines.fused or dropout or not share_codes(layers):
            found = super().forward(hidden_states, attention_mask, past_key_values, **options)
            return cast("tuple[Tensor, Tensor]", found)
        assert self.products is not None
        shape = (*hidden_states.shape[:2], 3, self.num_attention_heads, self.attention_head_size)
        heads_3BHSD = joined(layers, hidden_states).view(shape).permute(2, 0, 3, 1, 4).contiguous()
        show_heads(heads_3BHSD)
        self.products.show(heads_3BHSD)
        context, scores = attend(
            rounded(heads_3BHSD, self.products.query),  # nothing is learned here: all three do the same
            attention_mask,
            scale=self.scaling,
            quantizer=self.products.probabilities,
            routines=self.routines,
            softmax=not self.products.bi,
        )
        return context.flatten(2), scores


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
    show_heads((query, key, value))
    products: AttentionQuantizers | None = getattr(module, "products", None)
    routines: Routines = getattr(module, "routines", PLAIN)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    softmax = products is None or not products.bi
    if routines.fused and not (dropout and module.training):
        heads = [query, key, value]
        if products is not None:
            quantizers = products.show(heads)
            heads = [rounded(x, quantizer) for quantizer, x in zip(quantizers, heads, strict=True)]
        last = None if products is None else products.probabilities
        return attend(
            torch.stack(heads),
            attention_mask,
            scale=scale,
            quantizer=last,
            routines=routines,
            softmax=softmax,
        )
    if products is not None:
        query, key, value = (
            partly(quantizer, x)
            for quantizer, x in zip(
                (products.query, products.key, products.value), (query, key, value), strict=True
            )
        )
    scores = torch.matmul(query, key.transpose(2, 3)) * scale
    masked = scores if attention_mask is None else scores + attention_mask
    if softmax:
        probabilities = functional.softmax(masked, dim=-1)
        probabilities = functional.dropout(probabilities, dropout, training=module.training)
        if products is not None:
            probabilities = partly(products.probabilities, probabilities)
    else:
        assert products is not None
        probabilities = partly(products.probabilities, masked)
        kept = functional.dropout(torch.ones_like(masked), dropout, training=module.training)
        probabilities = probabilities * (kept > 0)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), scores


def activation_quantizers(model: nn.Module) -> dict[str, ActivationQuantizer]:
    """Every activation quantizer of a model by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, ActivationQuantizer)}


def mask(*, allow_is_bidirectional_skip: bool = False, **options: Any) -> Tensor | None:
    """Transformers' mask to add to the scores, also where no token is padding.

    Whether one is would have to be read from the mask, for which a GPU would be waited for in every step.
    """
    found: Tensor | None = eager_mask(**options)
    return found


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, mask)
