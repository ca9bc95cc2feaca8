"""First weights, part by part: copied bitwise, drawn as said, and written down as such."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import classifier
from torch import Tensor
from transformers import BertConfig

from bitladder.modeling.bert import build_bert
from bitladder.quantizers.precision import Precision
from pipeline import record, rungs
from pipeline.initialization.first_weights import (
    Draw,
    Origin,
    Source,
    assemble,
    draw,
    of_quantizer,
    origins,
    teacher_start,
)
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
    both = {part: source if part.startswith("embeddings") else DRAW for part in PARTS}
    assert set(assemble(WANTED, both)[0]) == set(WANTED)


# Where each part comes from, as `init` in params.yaml says.
W1 = Source("w1", {"head": torch.zeros(1)}, "1" * 64)
TEACHERS = Source("teacher", {}, "0" * 64)


def chosen(**init: object) -> dict[str, object]:
    written = {selector.replace("__", "."): origin for selector, origin in init.items()}
    needed = {"bits": 1, "init_from": "w1", "taught_by": "teacher", "data": "plain"}
    wanted = rungs.Rung.model_validate({**needed, "init": written}).init
    return dict(origins(wanted, 2, parent=W1, teacher=lambda: TEACHERS, std=0.02, seed=5))


def test_everything_is_the_parents_unless_said() -> None:
    assert chosen() == dict.fromkeys(every_part(2), W1)


def test_random_is_berts_own_initialization_with_the_files_seed() -> None:
    assert chosen(encoder="random")["encoder.1.q"] == Draw("normal", 0.02, 5)


def test_distribution_spread_and_seed_may_be_said() -> None:
    said = chosen(encoder={"distribution": "uniform", "std": 0.1}, head={"seed": 0}, pooler={"std": 0.3})
    assert said["encoder.0.norms"] == Draw("uniform", 0.1, 5)
    assert said["head"] == Draw("normal", 0.02, 0)
    assert said["pooler"] == Draw("normal", 0.3, 5)


def test_a_narrower_selector_takes_its_parts_back_from_a_wider_one() -> None:
    said = chosen(encoder="random", encoder__ffn1="copy", embeddings__word={"copy_from": "teacher"})
    assert said["encoder.0.ffn1"] is W1
    assert said["encoder.0.ffn2"] == Draw("normal", 0.02, 5)
    assert said["embeddings.word"] is TEACHERS
    assert said["embeddings.norm"] is W1


# The teacher: what the pre-trained model has is copied, the head is always new.
TEACHER = classifier(seed=3).state_dict()
PRETRAINED = classifier(seed=4).state_dict()


def started(without: str = "-") -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    source = Source(
        "pretrained", {name: t for name, t in PRETRAINED.items() if without not in name}, "0" * 64
    )
    state, notes = teacher_start(TEACHER, source, std=0.02, seed=0)
    return state, {selector: origin.source for selector, origin in record.origins(notes).items()}


def test_embeddings_encoder_and_pooler_are_copied_and_the_head_is_drawn() -> None:
    state, notes = started()
    assert notes == {"embeddings": "copied", "encoder": "copied", "pooler": "copied", "head": "drawn"}
    for name, tensor in state.items():
        assert torch.equal(tensor, PRETRAINED[name]) != name.startswith("classifier."), name


def test_a_model_without_a_pooler_gets_a_drawn_one_and_the_note_says_so() -> None:
    """As one pre-trained on masked words alone."""
    state, notes = started(without="pooler")
    assert notes["pooler"] == "drawn"
    assert set(state) == set(TEACHER)


@pytest.mark.parametrize("part", ["embeddings.LayerNorm", "layer.1.output.dense.weight"])
def test_a_model_that_lacks_more_than_that_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match=f"{part}.*from, has nothing"):
        started(without=part)


# What is drawn: BERT's own initialization or another distribution, each tensor from its own generator.
MATRIX = "bert.encoder.layer.0.output.dense.weight"
DISTRIBUTIONS = pytest.mark.parametrize("distribution", ["normal", "uniform", "orthogonal"])


def test_what_is_drawn_is_distributed_as_bert_draws_it() -> None:
    config = BertConfig(
        vocab_size=500, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=128
    )
    torch.manual_seed(0)
    reference = build_bert(config).state_dict()
    for name, expected in reference.items():
        drawn = draw(name, expected.shape, Draw("normal", config.initializer_range, 0))
        if expected.dim() < 2:
            assert torch.equal(drawn, expected), name
        else:
            # Of n values the deviation's own is 1 / sqrt(2 n): 5 % of the smallest matrix, the head's 128.
            assert float(drawn.std()) == pytest.approx(float(expected.std()), rel=0.3), name
            assert abs(float(drawn.mean())) < 5 * config.initializer_range / drawn.numel() ** 0.5, name


@DISTRIBUTIONS
@pytest.mark.parametrize("shape", [(64, 64), (32, 96), (96, 32)])
def test_every_distribution_has_the_spread_asked_for(distribution: str, shape: tuple[int, int]) -> None:
    values = draw(MATRIX, torch.Size(shape), Draw(distribution, 0.05, 3))  # type: ignore[arg-type]
    assert float(values.std()) == pytest.approx(0.05, rel=0.1)
    assert abs(float(values.mean())) < 0.005


def test_uniform_values_have_an_end_and_orthogonal_rows_are_orthogonal() -> None:
    uniform = draw(MATRIX, torch.Size((50, 50)), Draw("uniform", 1.0, 0))
    assert float(uniform.abs().max()) <= 3**0.5
    rows = draw(MATRIX, torch.Size((20, 80)), Draw("orthogonal", 0.1, 0))
    assert torch.allclose(rows @ rows.T, torch.eye(20) * 0.8, atol=1e-5)  # 80 * 0.1^2


@DISTRIBUTIONS
@given(seed=st.integers(0, 2**32 - 1))
def test_the_seed_and_the_name_decide_and_nothing_else(distribution: str, seed: int) -> None:
    how = Draw(distribution, 0.02, seed)  # type: ignore[arg-type]
    torch.manual_seed(1)
    first = draw(MATRIX, torch.Size((4, 6)), how)
    torch.manual_seed(2)
    assert torch.equal(first, draw(MATRIX, torch.Size((4, 6)), how))
    assert not torch.equal(first, draw(f"{MATRIX}2", torch.Size((4, 6)), how))
    assert not torch.equal(first, draw(MATRIX, torch.Size((4, 6)), Draw(how.distribution, 0.02, seed + 1)))
