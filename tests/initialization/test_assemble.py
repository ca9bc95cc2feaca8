"""First weights, part by part: copied bitwise, drawn as said, and written down as such."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import classifier
from torch import Tensor

from bitladder.quantizers.precision import Precision
from pipeline.initialization.assemble import Origin, Source, assemble, of_quantizer
from pipeline.initialization.partially_random import Draw
from pipeline.parts import every_part, part_of
from pipeline.record import Part

DIGEST = "0" * 64
PARENT = classifier(Precision(1, 1, 4), seed=1).state_dict()
WANTED = classifier(Precision(1, 1, 1), seed=2).state_dict()
PARTS = every_part(2)
COPY: Origin = Source("w1a4", PARENT, DIGEST)
DRAW: Origin = Draw("normal", 0.02, 7)
DRAWN_PARTS = st.lists(st.sampled_from(PARTS), unique=True)


def put_together(drawn: list[str], how: Origin = DRAW) -> tuple[dict[str, Tensor], list[Part]]:
    return assemble(WANTED, {part: how if part in drawn else COPY for part in PARTS})


@given(DRAWN_PARTS)
def test_copied_parts_are_the_parents_bits_and_drawn_ones_are_not(drawn: list[str]) -> None:
    state, _ = put_together(drawn)
    for name, tensor in state.items():
        if not of_quantizer(name):
            assert torch.equal(tensor, PARENT[name]) == (part_of(name) not in drawn), name


@given(DRAWN_PARTS)
def test_the_note_says_of_each_part_what_was_done(drawn: list[str]) -> None:
    _, notes = put_together(drawn)
    assert [note.part for note in notes] == PARTS
    for note in notes:
        if note.part not in drawn:
            assert note == Part(note.part, "copied", model="w1a4", digest=DIGEST)
        elif "norm" in note.part:
            assert note == Part(note.part, "drawn", distribution="constant, 1 and 0")
        else:
            assert note == Part(note.part, "drawn", distribution="normal", std=0.02, seed=7)


@given(DRAWN_PARTS)
def test_names_and_shapes_are_those_asked_for(drawn: list[str]) -> None:
    state, _ = put_together(drawn)
    assert [(name, t.shape) for name, t in state.items()] == [(name, t.shape) for name, t in WANTED.items()]


@given(DRAWN_PARTS, st.sampled_from(PARTS))
def test_what_is_drawn_for_a_part_does_not_depend_on_which_others_are_drawn(
    drawn: list[str], part: str
) -> None:
    alone, among = (put_together(parts)[0] for parts in ([part], [part, *drawn]))
    for name in (name for name in WANTED if part_of(name) == part and not of_quantizer(name)):
        assert torch.equal(alone[name], among[name]), name


def test_no_two_matrices_are_drawn_alike() -> None:
    state, _ = put_together(PARTS)
    first, second = (state[f"bert.encoder.layer.{layer}.output.dense.weight"] for layer in (0, 1))
    assert not torch.equal(first, second)
    key, query = (state[f"bert.encoder.layer.0.attention.self.{kind}.weight"] for kind in ("key", "query"))
    assert not torch.equal(key, query)


def test_the_parents_steps_are_not_copied_they_lie_between_other_levels() -> None:
    state, _ = put_together([])
    steps = [name for name in state if of_quantizer(name)]
    assert any(name.endswith("log_step") for name in steps)
    assert all(torch.equal(state[name], WANTED[name]) for name in steps)


def test_the_parents_tensors_are_not_shared() -> None:
    state, _ = put_together([])
    before = PARENT["classifier.weight"].clone()
    state["classifier.weight"].zero_()
    assert torch.equal(PARENT["classifier.weight"], before)


@pytest.mark.parametrize(
    ("name", "instead", "there"),
    [("bert.pooler.dense.weight", None, "nothing"), ("classifier.bias", torch.zeros(3), r"\(3,\)")],
)
def test_a_weight_that_is_missing_or_of_another_shape_is_refused_by_name(
    name: str, instead: Tensor | None, there: str
) -> None:
    state = {key: tensor for key, tensor in PARENT.items() if key != name}
    source = Source("w1a4", state if instead is None else {**state, name: instead}, DIGEST)
    sentence = rf"{name} should be .*; w1a4, which it is copied from, has {there}"
    with pytest.raises(ValueError, match=sentence):
        assemble(WANTED, dict.fromkeys(PARTS, source))


def test_what_is_drawn_need_not_be_in_the_parent() -> None:
    source = Source("w1a4", {name: t for name, t in PARENT.items() if "embeddings" in name}, DIGEST)
    origins = {part: source if part.startswith("embeddings") else DRAW for part in PARTS}
    assert set(assemble(WANTED, origins)[0]) == set(WANTED)
