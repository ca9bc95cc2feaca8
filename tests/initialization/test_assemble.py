"""First weights, part by part: copied bitwise, drawn from the seed, and written down as such."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import classifier
from torch import Tensor

from pipeline.initialization.assemble import Origin, Source, assemble, is_activation
from pipeline.initialization.partially_random import PARTS, part_of
from pipeline.quantizers.choose import Precision
from pipeline.record import Part

DIGEST = "0" * 64
PARENT = classifier(Precision(1, 1, 4), seed=1).state_dict()
WANTED = classifier(Precision(1, 1, 1), seed=2).state_dict()
ORIGINS = [
    dict(zip(PARTS, chosen, strict=True)) for chosen in itertools.product(("copy", "random"), repeat=4)
]


def put_together(origins: dict[str, Origin], *, seed: int = 0) -> tuple[dict[str, Tensor], list[Part]]:
    return assemble(WANTED, Source(PARENT, DIGEST), origins, std=0.02, seed=seed)


@given(st.sampled_from(ORIGINS))
def test_copied_parts_are_the_parents_bits_and_drawn_ones_are_not(origins: dict[str, Origin]) -> None:
    state, _ = put_together(origins)
    for name, tensor in state.items():
        if is_activation(name) or tensor.dim() < 2:
            continue
        assert torch.equal(tensor, PARENT[name]) == (origins[part_of(name)] == "copy"), name


@given(st.sampled_from(ORIGINS))
def test_the_note_says_of_each_part_what_was_done(origins: dict[str, Origin]) -> None:
    _, notes = put_together(origins, seed=7)
    assert [note.part for note in notes] == list(PARTS)
    for note in notes:
        if origins[note.part] == "copy":
            assert note == Part(note.part, "copied", digest=DIGEST)
        else:
            assert note == Part(
                note.part, "drawn", distribution="normal(0, 0.02); biases 0; LayerNorm 1, 0", seed=7
            )


@given(st.sampled_from(ORIGINS))
def test_names_and_shapes_are_those_asked_for(origins: dict[str, Origin]) -> None:
    state, _ = put_together(origins)
    assert [(name, t.shape) for name, t in state.items()] == [(name, t.shape) for name, t in WANTED.items()]


def test_the_seed_decides_what_is_drawn() -> None:
    random: dict[str, Origin] = dict.fromkeys(PARTS, "random")
    first, again, other = (put_together(random, seed=seed)[0] for seed in (0, 0, 1))
    name = "bert.encoder.layer.0.output.dense.weight"
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first[name], other[name])


def test_torchs_global_generator_plays_no_part() -> None:
    random: dict[str, Origin] = dict.fromkeys(PARTS, "random")
    torch.manual_seed(1)
    first, _ = put_together(random)
    torch.manual_seed(2)
    second, _ = put_together(random)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_parents_steps_are_not_copied_they_lie_between_other_levels() -> None:
    state, _ = put_together(dict.fromkeys(PARTS, "copy"))
    steps = [name for name in state if is_activation(name)]
    assert any(name.endswith("log_step") for name in steps)
    assert all(torch.equal(state[name], WANTED[name]) for name in steps)


def test_the_parents_tensors_are_not_shared() -> None:
    state, _ = put_together(dict.fromkeys(PARTS, "copy"))
    name = "classifier.weight"
    before = PARENT[name].clone()
    state[name].zero_()
    assert torch.equal(PARENT[name], before)


def test_a_weight_the_parent_lacks_is_refused_by_name() -> None:
    name = "bert.pooler.dense.weight"
    source = Source({key: tensor for key, tensor in PARENT.items() if key != name}, DIGEST)
    with pytest.raises(
        ValueError, match=r"init_from: bert\.pooler\.dense\.weight should be \(32, 32\); .* nothing"
    ):
        assemble(WANTED, source, dict.fromkeys(PARTS, "copy"), std=0.02, seed=0)


def test_a_weight_of_another_shape_is_refused_by_name_and_shapes() -> None:
    source = Source({**PARENT, "classifier.bias": torch.zeros(3)}, DIGEST)
    with pytest.raises(ValueError, match=r"classifier\.bias should be \(2,\); the parent has \(3,\)"):
        assemble(WANTED, source, dict.fromkeys(PARTS, "copy"), std=0.02, seed=0)


def test_what_is_drawn_need_not_be_in_the_parent() -> None:
    source = Source({key: tensor for key, tensor in PARENT.items() if part_of(key) == "embeddings"}, DIGEST)
    origins: dict[str, Origin] = {**dict.fromkeys(PARTS, "random"), "embeddings": "copy"}
    state, _ = assemble(WANTED, source, origins, std=0.02, seed=0)
    assert set(state) == set(WANTED)
