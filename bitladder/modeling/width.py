"""BERTs with a share of the heads and feed-forward neurons (DynaBERT, Hou et al., arXiv:2004.04037).

The hidden size stays: tables, LayerNorms, pooler and head are those of the whole BERT. The config keeps its
sizes and names the width, so that it still says which model this is a narrower one of.
"""

from typing import Any

from torch import nn
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertForSequenceClassification

from bitladder.modeling.share import num_kept as num_kept

WIDTH_KEY = "bitladder_width"
# Of each layer, which heads of the whole model the narrow one has; for comparing attention scores with it.
HEADS_KEY = "bitladder_heads"


def width_of(config: BertConfig) -> float:
    """1 for an ordinary BERT."""
    return float(getattr(config, WIDTH_KEY, None) or 1)


def heads_of(model: nn.Module) -> list[list[int]] | None:
    """Of each layer, which of the whole model's heads this one has; None where it has all."""
    heads: list[list[int]] | None = getattr(getattr(model, "config", None), HEADS_KEY, None)
    return heads


def narrow(model: BertForSequenceClassification) -> None:
    """Replace the linears of every layer by those of the config's width, in place, with new weights."""
    config, width = model.config, width_of(model.config)
    num_heads = num_kept(config.num_attention_heads, width, "heads")
    inner = num_kept(config.intermediate_size, width, "neurons")
    layers: Any = model.bert.encoder.layer
    for layer in layers:
        attention = layer.attention.self
        attention.num_attention_heads = num_heads
        attention.all_head_size = num_heads * attention.attention_head_size
        for name in ("query", "key", "value"):
            setattr(attention, name, nn.Linear(config.hidden_size, attention.all_head_size))
        layer.attention.output.dense = nn.Linear(attention.all_head_size, config.hidden_size)
        layer.intermediate.dense = nn.Linear(config.hidden_size, inner)
        layer.output.dense = nn.Linear(inner, config.hidden_size)
