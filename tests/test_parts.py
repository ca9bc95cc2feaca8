"""Selectors: each names the parts it says, narrower ones win, and what names nothing is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import classifier

from bitladder.quantizers.precision import Precision
from pipeline.parts import (
    GROUPS,
    KINDS,
    SelectorError,
    choose,
    every_part,
    layers_in,
    part_of,
    select,
    shortest,
)

LAYERS = st.integers(1, 6)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("bert.embeddings.word_embeddings.weight", "embeddings.word"),
        ("bert.embeddings.position_embeddings.weight", "embeddings.position"),
        ("bert.embeddings.token_type_embeddings.weight", "embeddings.segment"),
        ("bert.embeddings.LayerNorm.bias", "embeddings.norm"),
        ("bert.encoder.layer.0.attention.self.query.weight", "encoder.0.q"),
        ("bert.encoder.layer.0.attention.self.key.bias", "encoder.0.k"),
        ("bert.encoder.layer.10.attention.self.value.weight", "encoder.10.v"),
        ("bert.encoder.layer.1.attention.output.dense.weight", "encoder.1.o"),
        ("bert.encoder.layer.1.attention.output.LayerNorm.weight", "encoder.1.norms"),
        ("bert.encoder.layer.1.intermediate.dense.bias", "encoder.1.ffn1"),
        ("bert.encoder.layer.1.output.dense.weight", "encoder.1.ffn2"),
        ("bert.encoder.layer.1.output.LayerNorm.bias", "encoder.1.norms"),
        ("bert.pooler.dense.bias", "pooler"),
        ("classifier.weight", "head"),
    ],
)
def test_each_tensor_belongs_to_a_part(name: str, part: str) -> None:
    assert part_of(name) == part


def test_every_tensor_of_a_quantized_classifier_belongs_to_a_part_and_every_part_has_one() -> None:
    assert {part_of(name) for name in classifier(Precision(1, 1, 1)).state_dict()} == set(every_part(2))


@pytest.mark.parametrize(
    ("selector", "parts"),
    [
        ("head", ["head"]),
        ("embeddings", ["embeddings.word", "embeddings.position", "embeddings.segment", "embeddings.norm"]),
        ("embeddings.norm", ["embeddings.norm"]),
        ("encoder.ffn1", ["encoder.0.ffn1", "encoder.1.ffn1", "encoder.2.ffn1"]),
        ("encoder.1.q", ["encoder.1.q"]),
        ("encoder.2", [f"encoder.2.{kind}" for kind in KINDS]),
        ("encoder.0-1.norms", ["encoder.0.norms", "encoder.1.norms"]),
        ("encoder.first-1.attention", [f"encoder.0.{kind}" for kind in "qkvo"]),
        ("encoder.last-2.ffn", [f"encoder.{layer}.{kind}" for layer in (1, 2) for kind in ("ffn1", "ffn2")]),
        ("encoder", [f"encoder.{layer}.{kind}" for layer in range(3) for kind in KINDS]),
    ],
)
def test_a_selector_names_its_parts(selector: str, parts: list[str]) -> None:
    assert select(selector, 3) == parts


@pytest.mark.parametrize(
    ("selector", "sentence"),
    [
        ("encodr", "no part 'encodr'"),
        ("", "no part ''"),
        ("pooler.dense", "pooler has no parts"),
        ("embeddings.words", "no 'words'"),
        ("embeddings.word.norm", "embeddings has no parts below"),
        ("encoder.query", "no 'query'"),
        ("encoder.0.ffn1.norms", "no 'ffn1'"),
        ("encoder.ffn1.0", "no 'ffn1'"),
        ("encoder.3", r"no layer 3; the model has 3, 0 to 2"),
        ("encoder.1-7.q", r"no layer 7"),
        ("encoder.2-1", "runs backwards; write 1-2"),
        ("encoder.last-4", "4 layers of 3"),
        ("encoder.first-0", "0 layers of 3"),
    ],
)
def test_a_selector_that_names_nothing_is_refused(selector: str, sentence: str) -> None:
    with pytest.raises(SelectorError, match=sentence):
        select(selector, 3)


def test_the_narrower_selector_wins() -> None:
    found = choose(["encoder", "encoder.1", "encoder.ffn1", "encoder.1.ffn1", "embeddings.norm"], 3)
    assert found["encoder.0.q"] == "encoder"
    assert found["encoder.1.q"] == "encoder.1"
    assert found["encoder.0.ffn1"] == "encoder.ffn1"
    assert found["encoder.1.ffn1"] == "encoder.1.ffn1"
    assert found["embeddings.norm"] == "embeddings.norm"
    assert found["embeddings.word"] is None


def test_two_selectors_that_cross_are_refused() -> None:
    with pytest.raises(ValueError, match=r"encoder.0 and encoder.ffn1 both name encoder.0.ffn1"):
        choose(["encoder.0", "encoder.ffn1"], 12)


def test_two_names_for_the_same_parts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"encoder.0-1 and encoder.first-2 name the same parts"):
        choose(["encoder.0-1", "encoder.first-2"], 12)


@given(st.data(), LAYERS)
def test_the_shortest_selectors_name_exactly_the_parts(data: st.DataObject, num_layers: int) -> None:
    every = every_part(num_layers)
    parts = data.draw(st.lists(st.sampled_from(every), unique=True))
    found = shortest(parts, num_layers)
    assert sorted(part for selector in found for part in select(selector, num_layers)) == sorted(parts)


@given(LAYERS)
def test_whole_sections_have_one_name(num_layers: int) -> None:
    assert shortest(every_part(num_layers), num_layers) == ["embeddings", "encoder", "pooler", "head"]
    assert layers_in(every_part(num_layers)) == num_layers


def test_the_shortest_selectors_by_hand() -> None:
    attention = [f"encoder.{layer}.{kind}" for layer in (1, 2) for kind in GROUPS["attention"]]
    parts = [*attention, "encoder.1.norms", "encoder.2.norms", "embeddings.word", "head"]
    found = shortest(parts, 4)
    assert found == ["embeddings.word", "encoder.1-2.attention", "encoder.1-2.norms", "head"]
