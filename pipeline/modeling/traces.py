"""One forward pass that returns everything distillation compares.

Shapes: B sequences, S tokens, E hidden size, H heads, L labels.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from pipeline.modeling.bert import Bert
from pipeline.modeling.outputs import logits_of


@dataclass(frozen=True)
class Trace:
    """Attributes:
    logits_BL: the head's outputs (L is 1 for regression; [B, 2, S] for question answering).
    hidden_states: the embeddings' output, then each layer's, all [B, S, E].
    scores: each layer's attention scores [B, H, S, S], before mask and softmax.
    """

    logits_BL: Tensor
    hidden_states: tuple[Tensor, ...]
    scores: tuple[Tensor, ...]


def of_heads(traced: Trace, heads: list[list[int]] | None) -> Trace:
    """The same with the scores of some heads of each layer; None: of all."""
    if heads is None:
        return traced
    kept = (scores[:, of_layer] for scores, of_layer in zip(traced.scores, heads, strict=True))
    return replace(traced, scores=tuple(kept))


def trace(model: Bert, batch: dict[str, Tensor]) -> Trace:
    """Run `model` on input_ids, token_type_ids and attention_mask, all [B, S]."""
    output = model(
        input_ids=batch["input_ids"],
        token_type_ids=batch["token_type_ids"],
        attention_mask=batch["attention_mask"],
        output_hidden_states=True,
        output_attentions=True,
    )
    assert output.hidden_states is not None
    assert output.attentions is not None
    return Trace(logits_of(output, batch["attention_mask"]), output.hidden_states, output.attentions)
