"""Build BERTs from transformers' own classes, in full precision or quantized.

Quantized: encoder and pooler linears; word, position and segment tables; with activations, the input of each
of those linears and of both attention products. In full precision always: LayerNorm, biases, the head.

config.json names the class in `architectures`, as transformers writes it, and with it the head
(`bitladder.heads`): one that reads the first token has a pooler, the others have none.

A model that was another encoder's (`architectures`) may have ReLU or GELU behind its pooler in place of tanh.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertSelfAttention,
)

from bitladder import heads
from bitladder.modeling import attention
from bitladder.modeling.architectures import POOLER_ACT_KEY
from bitladder.modeling.layers import (
    QuantizedEmbedding,
    QuantizedLinear,
    WeightSplitEmbedding,
    WeightSplitLinear,
)
from bitladder.modeling.routines import Routines, product
from bitladder.modeling.sentence_bert import BertForSentenceEmbedding
from bitladder.modeling.share import TABLES, num_kept
from bitladder.quantizers.activation import activation_quantizer
from bitladder.quantizers.precision import FULL, Precision
from bitladder.quantizers.weight import weight_quantizer

PRECISION_KEY = "bitladder_precision"
# A BERT with a share of the heads and feed-forward neurons (DynaBERT, Hou et al., arXiv:2004.04037) keeps the
# whole one's sizes in its config and names the share, so that it still says which model it is narrowed from.
WIDTH_KEY = "bitladder_width"
# Of each layer, which heads of the whole model the narrow one has; for comparing attention scores with it.
HEADS_KEY = "bitladder_heads"
BODY = "bert."  # what the tensors of everything but the head begin with

Bert = (
    BertForSequenceClassification
    | BertForTokenClassification
    | BertForQuestionAnswering
    | BertForSentenceEmbedding
)
_CLASSES: dict[heads.Head, Any] = {
    heads.SEQUENCE: BertForSequenceClassification,
    heads.TOKENS: BertForTokenClassification,
    heads.SPAN: BertForQuestionAnswering,
    heads.VECTOR: BertForSentenceEmbedding,
}


def build_bert(config: BertConfig, precision: Precision | None = None) -> Bert:
    """A float32 BERT with weights as BERT draws them, quantized to `precision` when given.

    Its head is the one that the config names, of a classifier where it names none.
    """
    kind = _CLASSES[heads.of(config.architectures)]
    # A checkpoint stored in half precision says so in its config; trained in it, small updates would be lost.
    model: Bert = kind._from_config(config, attn_implementation=attention.NAME, dtype=torch.float32)
    if width_of(config) != 1:
        narrow(cast("Any", model))
    set_pooler(model)
    if precision is not None:
        quantize(model, precision)
    return model


def set_pooler(model: nn.Module) -> None:
    """Put the function that the config names behind the pooler, in place; tanh is there already."""
    name, pooler = getattr(cast("Any", model).config, POOLER_ACT_KEY, None), cast("Any", model).bert.pooler
    if name is not None and pooler is not None:
        pooler.activation = {"relu": nn.ReLU, "gelu": nn.GELU}[name]()


def quantize(model: Bert, precision: Precision) -> None:
    """Convert the layers of a full-precision BERT in place and note the precision in its config.

    At 32 bits throughout there is nothing to note: the same model, in layers that compute as `routines` say.

    Raises:
        ValueError: the activation quantizer cannot serve what the model's `hidden_act` puts out.
    """
    for name, layer in list(model.bert.named_modules()):
        if isinstance(layer, nn.Linear):
            _convert_linear(model.bert, name, layer, precision)
        elif precision.embeddings != FULL and name.split(".")[-1] in TABLES:
            assert isinstance(layer, nn.Embedding)
            if precision.split:
                model.bert.set_submodule(name, WeightSplitEmbedding(layer, precision=precision))
                continue
            shape = (layer.num_embeddings, layer.embedding_dim)
            QuantizedEmbedding.convert(layer, quantizer=weight_quantizer(precision, shape, is_table=True))
        elif isinstance(layer, BertSelfAttention):
            attention.QuantizedSelfAttention.convert(layer, precision)
    if not precision.is_full:
        setattr(model.config, PRECISION_KEY, precision.as_dict())


def precision_of(config: BertConfig) -> Precision:
    """The precision a checkpoint's config names; full precision when it names none."""
    noted: dict[str, Any] = getattr(config, PRECISION_KEY, {})
    return Precision(**noted)


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


def _convert_linear(bert: nn.Module, name: str, layer: nn.Linear, precision: Precision) -> None:
    activation = None
    if precision.activations != FULL:
        # GELU puts out hardly a negative value, ReLU none; the other linears read centred values.
        is_second = name.endswith("output.dense") and "attention" not in name
        from_zero = is_second and cast("Any", bert).config.hidden_act == "relu"
        activation = activation_quantizer(
            precision.bits_of_activations(is_second=is_second),
            signed=not is_second,
            shift_shape=None if from_zero else (layer.in_features,),
            name=precision.quantizer_of_activations(is_second=is_second),
        )
    if precision.split:
        split = WeightSplitLinear(layer, precision=precision, activation=activation)
        bert.set_submodule(name, split)
        return
    quantizer = weight_quantizer(precision, (layer.out_features, layer.in_features))
    QuantizedLinear.convert(layer, quantizer=quantizer, activation=activation)


class FrozenLinear(nn.Linear):
    """A linear layer that is not trained and computes in its weight's dtype."""

    routines: Routines

    def forward(self, input: Tensor) -> Tensor:
        return product(input.to(self.weight.dtype), self.weight, self.bias, self.routines)


def freeze(model: nn.Module, routines: Routines) -> None:
    """Make a teacher's layers compute as fast as this machine can, in place: no more training or saving.

    In float32 the products go through oneDNN. In bfloat16 the encoder's weights are rounded once, and so is
    what each of its linears reads; sums, LayerNorms, softmax, pooler and head stay in float32. A teacher that
    is a rung answers as it is scored, to the last bit: all that changes is that quantized weights which
    products see as floats are computed once, and not in every step.
    """
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
