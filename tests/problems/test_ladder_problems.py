"""An impossible ladder is refused: parents, circles, bits that rise, names, what is delivered."""

import pytest
from changed_params import Refusals, Values


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [("weights.w4.init_from", "w88")],
            "weights.w4.init_from: no rung 'w88'; did you mean 'w8'? known: teacher, w8, w2, w1",
        ),
        (
            [("weights.w4.init_from", "pretrained")],
            "weights.w4.init_from: no rung 'pretrained'; known: teacher",
        ),
        ([("weights.w8.init_from", "w8")], "weights.w8.init_from: a circle: w8 starts from w8"),
        (
            [("weights.w8.init_from", "w2")],
            "weights.w8.init_from: a circle: w8 starts from w2, w2 starts from w4, w4 starts from w8; "
            "every rung must lead to the teacher",
        ),
        ([("weights.w8.bits", 2)], "weights.w4.bits: 4 is more than its parent w8 has; write at most 2"),
        (
            [("weights.w1.init_from", "w1a8"), ("weights_activations.w1a8.init_from", "w2")],
            "weights.w1.init_from: w1a8 has quantized activations, and a rung under weights has none",
        ),
        (
            [("weights_activations.w1a8.init_from", "w1a4"), ("weights_activations.w1a4.init_from", "w1")],
            "weights_activations.w1a8.activation_bits: 8 is more than its parent w1a4 has; write at most 4",
        ),
        (
            [("weights.w4.embedding_bits", 8), ("weights.w8.embedding_bits", 4)],
            "weights.w4.embedding_bits: 8 is more than its parent w8 has; write at most 4",
        ),
        ([("weights.w8.embedding_bits", 2)], "weights.w4.embedding_bits: 4 is more than its parent w8 has"),
        ([("deliver", ["w1", "w3"])], "deliver: no rung 'w3'; known: w8, w4, w2, w1"),
        ([("deliver", ["w1", "w1"])], "deliver: w1 is written twice"),
        ([("deliver", ["teacher"])], "deliver: teacher is evaluated anyway"),
        ([("deliver", [])], "deliver: empty"),
    ],
)
def test_an_impossible_ladder_is_refused(
    refusals: Refusals, changes: list[tuple[str, object]], problem: str
) -> None:
    assert [found for found in refusals(*changes) if found.startswith(problem)]


def test_a_circle_is_told_once_and_without_what_follows_from_it(refusals: Refusals) -> None:
    assert len(refusals(("weights.w8.init_from", "w1"))) == 1


def test_reserved_and_repeated_names_are_refused(refusals: Refusals, default: Values) -> None:
    rung = {"bits": 1, "activation_bits": 8, "init_from": "teacher", "taught_by": "teacher", "data": "plain"}
    problems = refusals(
        ("weights_activations", {**default["weights_activations"], "teacher": rung, "w1": rung})
    )
    assert any(
        problem.startswith("weights_activations.teacher: 'teacher' is reserved") for problem in problems
    )
    assert any(problem.startswith("weights_activations.w1: stands under weights too") for problem in problems)


def test_a_rung_may_repeat_its_parents_bits(refusals: Refusals) -> None:
    assert refusals(("weights.w4.bits", 8)) == []
