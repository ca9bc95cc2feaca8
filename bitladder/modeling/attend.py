"""Self-attention as one autograd function: scores, softmax, rounded probabilities, context.

It hands out the scores before mask and softmax, for distillation, and takes their gradient back; of [S, S]
tensors it keeps the probabilities and their int8 codes. The plain code in attention.py gives the same.
Without a softmax (Bi-Attention) the masked scores themselves are rounded.

Shapes: B sequences, H heads, S tokens, D features of a head; heads_3BHSD are query, key and value.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bitladder.modeling.routines import Routines
from bitladder.quantizers.activation import ActivationQuantizer, Codes


def rounded(x: Tensor, quantizer: ActivationQuantizer) -> Tensor:
    """x through a quantizer, as `quantizer(x)` gives it, with fewer passes backward."""
    return cast("Tensor", _Rounded.apply(x, quantizer, *quantizer.learned()))  # type: ignore[no-untyped-call]


def attend(
    heads_3BHSD: Tensor,
    mask: Tensor | None,
    *,
    scale: float,
    quantizer: ActivationQuantizer | None,
    routines: Routines,
    softmax: bool = True,
) -> tuple[Tensor, Tensor]:
    """The context [B, S, H, D] and the scores [B, H, S, S].

    Args:
        mask: added to the scores, broadcast.
        quantizer: of the probabilities; None for none.
        softmax: make probabilities of the scores; else they take their place.
    """
    learned = () if quantizer is None else quantizer.learned()
    found = _Attend.apply(  # type: ignore[no-untyped-call]
        heads_3BHSD, mask, scale, quantizer, routines, softmax, *learned
    )
    return cast("tuple[Tensor, Tensor]", found)


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, quantizer: ActivationQuantizer, *learned: Tensor) -> Tensor:
        codes = quantizer.encode(x)
        ctx.quantizer = quantizer
        kept = (x, codes.integers, codes.step, codes.offset) if quantizer.gradient_needs_x else (None,) * 4
        ctx.save_for_backward(*kept)
        return codes.values()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        x, integers, step, offset = ctx.saved_tensors
        of_x, *of_learned = ctx.quantizer.gradients(x, Codes(integers, step, offset), gradients[0])
        return of_x, None, *of_learned


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        heads_3BHSD: Tensor,
        mask: Tensor | None,
        scale: float,
        quantizer: ActivationQuantizer | None,
        routines: Routines,
        softmax: bool,
        *learned: Tensor,
    ) -> tuple[Tensor, Tensor]:
        query, key, value = heads_3BHSD.flatten(1, 2)
        rows, num_heads, length, _ = heads_3BHSD.shape[1:]
        if softmax:
            scores = _times(query, key.transpose(1, 2), scale)
        else:  # sums of signs are exact, as long as no factor is drawn into them
            scores = torch.bmm(query, key.transpose(1, 2)).mul_(scale)
        scores = scores.view(rows, num_heads, length, length)
        masked = scores if mask is None else scores + mask
        probabilities = torch.softmax(masked, dim=-1, dtype=torch.float32) if softmax else masked
        codes = None
        rounded_probabilities = probabilities
        if quantizer is not None:
            quantizer.show(probabilities)
            codes = quantizer.encode(probabilities)
            rounded_probabilities = codes.values()
        context = torch.bmm(rounded_probabilities.flatten(0, 1).to(value.dtype), value)
        ctx.scale, ctx.quantizer, ctx.routines, ctx.softmax = scale, quantizer, routines, softmax
        ctx.set_materialize_grads(False)
        kept = (None, None, None) if codes is None else (codes.integers, codes.step, codes.offset)
        ctx.save_for_backward(heads_3BHSD, probabilities, *kept)
        return context.view(rows, num_heads, length, -1).transpose(1, 2).contiguous(), scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        of_context, of_scores = gradients
        heads_3BHSD = ctx.saved_tensors[0]
        dtype = ctx.routines.gradients
        query, key, value = heads_3BHSD.to(dtype).flatten(1, 2)
        of_heads = torch.empty_like(heads_3BHSD, dtype=dtype)
        of_query, of_key, of_value = of_heads.flatten(1, 2)
        if of_context is None:  # only scores are looked at, as in the last layer where logits weigh nothing
            of_masked = of_scores
            of_value.zero_()
            of_learned = [torch.zeros_like(x) for x in ctx.quantizer.learned()] if ctx.quantizer else []
        else:
            of_masked, of_learned = _through_context(ctx, of_context, value, of_value)
            if of_scores is not None:
                of_masked.add_(of_scores)
        of_masked = of_masked.flatten(0, 1).to(dtype)
        _times(of_masked, key, ctx.scale, out=of_query)
        _times(of_masked.transpose(1, 2), query, ctx.scale, out=of_key)
        # In the order of the projection that the heads come from, [B, S, 3, H, D]: it can be read as rows.
        rows_BS3HD = of_heads.permute(1, 3, 0, 2, 4)
        in_rows = torch.empty(rows_BS3HD.shape, device=of_heads.device).copy_(rows_BS3HD)
        return in_rows.permute(2, 0, 3, 1, 4), None, None, None, None, None, *of_learned


def _through_context(
    ctx: Any, of_context: Tensor, value: Tensor, of_value: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The gradients of the masked scores and of each that the quantizer learns; fills in `of_value`."""
    _, probabilities, integers, step, offset = ctx.saved_tensors
    of_context = of_context.transpose(1, 2).to(value.dtype).reshape_as(value)
    of_probabilities = torch.bmm(of_context, value.transpose(1, 2)).to(torch.float32)
    of_probabilities = of_probabilities.view_as(probabilities)
    seen, of_learned = probabilities, []
    if ctx.quantizer is not None:
        codes = Codes(integers, step, offset)
        seen = codes.values()
        of_probabilities, *of_learned = ctx.quantizer.gradients(probabilities, codes, of_probabilities)
    torch.bmm(seen.to(value.dtype).flatten(0, 1).transpose(1, 2), of_context, out=of_value)
    if not ctx.softmax:
        return of_probabilities, of_learned
    of_masked = torch._softmax_backward_data(of_probabilities, probabilities, -1, torch.float32)
    return of_masked, of_learned


def _times(first: Tensor, second: Tensor, factor: float, *, out: Tensor | None = None) -> Tensor:
    """`first @ second * factor`, over a batch of matrices."""
    nothing = first.new_empty(())
    return torch.baddbmm(nothing, first, second, beta=0, alpha=factor, out=out)
