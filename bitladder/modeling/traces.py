"""One forward pass that returns everything distillation compares: logits, hidden states, attention.

Queries, keys and values are what the linears put out, before an activation quantizer rounds them. They are
collected where somebody asks for them; elsewhere showing them costs a look at a variable.

Shapes: B sequences, S tokens, E hidden size, H heads, D features of a head, L labels.
"""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

Heads = tuple[Tensor, Tensor, Tensor]  # query, key and value, each [B, H, S, D]
# Of padding: far below any logit, so that a softmax gives it nothing, and finite, so that 0 times it is 0.
PADDING = -1e4
_layers: ContextVar[list[Heads] | None] = ContextVar("layers", default=None)


@dataclass(frozen=True)
class Trace:
    """Attributes:
    logits_BL: the head's outputs (L is 1 for regression); of heads that read every token [B, L, S].
    hidden_states: the embeddings' output, then each layer's, all [B, S, E].
    scores: each layer's attention scores [B, H, S, S], before mask and softmax.
    heads: each layer's query, key and value, all [B, H, S, D], before they are rounded; empty unless asked
        for.
    """

    logits_BL: Tensor
    hidden_states: tuple[Tensor, ...]
    scores: tuple[Tensor, ...]
    heads: tuple[Heads, ...] = ()


def trace(model: nn.Module, batch: dict[str, Tensor], *, heads: bool = False) -> Trace:
    """Run `model` on input_ids, token_type_ids and attention_mask, all [B, S]."""
    inputs = {name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
    layers: list[Heads] = []
    before = _layers.set(layers if heads else None)
    try:
        output = model(**inputs, output_hidden_states=True, output_attentions=True)
    finally:
        _layers.reset(before)
    logits_BL = logits_of(output, inputs["attention_mask"])
    return Trace(logits_BL, output.hidden_states, output.attentions, tuple(layers))


def of_heads(traced: Trace, wanted: list[list[int]] | None, own: list[list[int]] | None = None) -> Trace:
    """The same with the scores, queries, keys and values of some heads of each layer.

    Args:
        wanted: their numbers in the whole BERT, by layer; None: all of them.
        own: of the whole BERT's heads, which the traced model has; None: all of them.

    Raises:
        ValueError: the traced model lacks one.
    """
    if wanted is None or wanted == own:
        return traced
    places = wanted if own is None else [_places(*layer) for layer in zip(wanted, own, strict=True)]
    scores = (scores[:, at] for scores, at in zip(traced.scores, places, strict=True))
    layers = zip(traced.heads, places, strict=bool(traced.heads))  # none were asked for, or all
    heads = tuple((query[:, at], key[:, at], value[:, at]) for (query, key, value), at in layers)
    return replace(traced, scores=tuple(scores), heads=heads)


def _places(wanted: list[int], own: list[int]) -> list[int]:
    lacking = sorted(set(wanted) - set(own))
    if lacking:
        raise ValueError(f"a teacher with the heads {own} cannot show a student its heads {lacking}")
    return [own.index(head) for head in wanted]


def show_heads(heads: Iterable[Tensor]) -> None:
    """Keep one layer's query, key and value for whoever collects."""
    layers = _layers.get()
    if layers is not None:
        query, key, value = heads
        layers.append((query, key, value))


def logits_of(output: Any, mask_BS: Tensor) -> Tensor:
    """[B, L]; of heads that read every token [B, L, S], of padding -1e4.

    Question answering (L is 2) is two classifications over tokens, of the answer's first and of its last:
    what is true of labels in the last dimension is true of tokens there, once padding is out of the running.
    """
    if "logits" not in output:
        logits_BLS = torch.stack([output.start_logits, output.end_logits], dim=1)
    elif output.logits.dim() == 2:
        logits_BL: Tensor = output.logits
        return logits_BL
    else:
        logits_BLS = output.logits.transpose(1, 2)
    return logits_BLS.masked_fill(mask_BS.unsqueeze(1) == 0, PADDING)
