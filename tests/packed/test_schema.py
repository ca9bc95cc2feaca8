"""The schema names the tensors that the torch model has, whatever the precision, and says what they are."""

from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_models import ANSWERING
from transformers import BertConfig

from bitladder.heads import ANSWERING_KEY
from bitladder.modeling.bert import PRECISION_KEY, WIDTH_KEY
from bitladder.packed import format, schema
from bitladder.packed.format import PackedConfig
from bitladder.packed.tensors import Entry
from bitladder.packed.writing import packed_config
from bitladder.quantizers.names import ACTIVATIONS, serving
from bitladder.quantizers.precision import Bits, Precision
from bitladder.transformers_model import model

SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 54,
    "max_position_embeddings": 17,
}


@st.composite
def precisions(draw: st.DrawFn) -> Precision:
    activations = draw(st.sampled_from(get_args(Bits)))
    is_bi = activations == 1 and draw(st.booleans())
    names: list[str | None] = [None, *serving(ACTIVATIONS, activations)]
    name = draw(st.sampled_from([name for name in names if is_bi or name != "sign"]))
    split = draw(st.booleans())
    granularity = draw(st.sampled_from(["row", "matrix", "group"]))
    return Precision(
        1 if split else draw(st.sampled_from([1, 2, 4, 8])),
        1 if split else draw(st.sampled_from(get_args(Bits))),
        activations,
        granularity,
        split=split,
        group_size=draw(st.sampled_from([3, 9])) if granularity == "group" else None,
        activation_quantizer=name,
        attention="bi" if is_bi else "softmax",
        scale_bits=draw(st.sampled_from([8, 16])) if granularity == "row" else 16,
    )


def config_of(
    precision: Precision, *, answering: bool = False, width: float | None = None, **sizes: Any
) -> PackedConfig:
    labels = {0: "start", 1: "end"} if answering else {0: "a", 1: "b", 2: "c"}
    config = BertConfig(**{**SIZES, **sizes}, id2label=labels)
    for key, value in ((PRECISION_KEY, precision.as_dict()), (WIDTH_KEY, width)):
        setattr(config, key, value)
    if answering:
        config.architectures = ["BertForQuestionAnswering"]
        setattr(config, ANSWERING_KEY, ANSWERING)
    return packed_config(config)


@settings(max_examples=100, deadline=None)
@given(precisions(), st.booleans(), st.sampled_from([None, 0.5]), st.sampled_from(["gelu", "relu", "silu"]))
def test_every_tensor_of_the_torch_model_is_in_the_schema_and_no_other(
    precision: Precision, answering: bool, width: float | None, hidden_act: str
) -> None:
    if precision.activation_quantizer == "sign" and hidden_act == "relu":
        hidden_act = "gelu"
    config = config_of(precision, answering=answering, width=width, hidden_act=hidden_act)
    kind = model.PackedBertForQuestionAnswering if answering else model.PackedBertForSequenceClassification
    with torch.device("meta"):
        state = kind(model.BitladderBertConfig.from_dict(config.as_dict())).state_dict()
    wanted = {name: stored.entry for name, stored in schema.tensors(config).items()}
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        name: entry.shape for name, entry in wanted.items()
    }
    assert {name for name, tensor in state.items() if tensor.dtype == torch.uint8} == {
        name for name, entry in wanted.items() if entry.dtype == "U8"
    }


@pytest.mark.parametrize("embeddings", [1, 32])
def test_only_the_head_and_tables_that_are_not_quantized_are_in_32_bits(embeddings: Any) -> None:
    tensors = schema.tensors(config_of(Precision(1, embeddings, 4)))
    full = {stored.part for stored in tensors.values() if stored.entry.dtype == "F32"}
    assert full == {"head"} | (set(schema.TABLE_PARTS.values()) if embeddings == 32 else set())


def test_parameters_of_a_narrow_model_stand_for_the_whole_ones() -> None:
    narrow = schema.tensors(config_of(Precision(1, 1, 8, split=True), width=0.5)).values()
    whole = schema.tensors(config_of(Precision(1, 1, 8))).values()
    assert sum(one.whole_parameters for one in narrow) == sum(one.parameters for one in whole)
    assert sum(one.whole_parameters for one in whole) == sum(one.parameters for one in whole)


def test_a_tensor_by_hand() -> None:
    name = "bert.encoder.layer.1.output.dense"
    stored = schema.tensors(config_of(Precision(2, 4, 8)))
    codes, scale = stored[f"{name}.codes"], stored[f"{name}.scale"]
    assert (codes.entry, codes.part, codes.bits) == (Entry("U8", (36, 11)), "encoder", 1.6)
    assert (codes.parameters, codes.whole_parameters) == (36 * 54, 36 * 54)
    assert (scale.entry, scale.part, scale.bits, scale.parameters) == (Entry("F16", (36,)), "scales", 16, 0)


def test_config_json_is_written_as_it_is_read() -> None:
    values = config_of(Precision(1, 2, 4), answering=True, width=0.5).as_dict()
    assert format.parse_config(values, source="here").as_dict() == values
    assert values["bitladder_precision"] == Precision(1, 2, 4).as_dict()
    assert values["bitladder_answering"] == ANSWERING
    bare = config_of(Precision(1, 1, 8)).as_dict()
    assert not {"bitladder_width", "bitladder_trits_per_byte", "bitladder_answering"} & set(bare)
