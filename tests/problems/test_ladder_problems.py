"""An impossible ladder is refused: parents, circles, bits that rise, names, what is delivered."""

import pytest
from changed_params import MRPC, Refusals, Values


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


GENERAL = {"bits": 1, "activation_bits": 8, "init_from": "pretrained", "duration": {"steps": 9}}
NO_LABELS = {"logits": 0.0, "hidden_states": 1.0, "attention_scores": 0.0, "labels": 1.0}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([("general.g.init_from", "teacher")], "general.g.init_from: no rung 'teacher'; known: pretrained"),
        ([("general.g.width", 0.5)], "general.g.width: 0.5, and a general rung has the pre-trained model's"),
        ([("general.g.split", True)], "general.g.split: not for a general rung"),
        (
            [("general.g.duration", {"equal_to": "w1"})],
            "general.g.duration.equal_to: only for the rungs of a",
        ),
        ([("general.g.duration", ...)], "general.g.duration: missing"),
        (
            [("general.g.taught_by", "teacher")],
            "general.g.taught_by: 'teacher' is not allowed; allowed: pretr",
        ),
        (
            [("general.g.distillation", NO_LABELS)],
            "general.g.distillation: plain text has neither labels nor answers; write 0 for labels",
        ),
        ([("weights.w1.taught_by", "g")], "weights.w1.taught_by: no rung 'g'; known: teacher"),
        ([("weights.w8.init_from", "g")], "weights.w8.init_from: g has quantized activations"),
        ([("deliver", ["g"])], "deliver: g is a general rung, which answers nothing"),
        (
            [("weights.g", {"bits": 8, "init_from": "teacher", "taught_by": "teacher", "data": "plain"})],
            "weights.g: stands under general too",
        ),
        (
            [("weights_activations.w1a8.duration", {"equal_to": "g"})],
            "weights_activations.w1a8.duration.equal_to: no rung 'g'",
        ),
        (
            [("data.corpus", [{"file": "glue/cola/validation.parquet"}])],
            "data.corpus[0].file: glue/cola/validation.parquet is a split that models are judged by",
        ),
    ],
)
def test_an_impossible_general_rung_is_refused(
    refusals: Refusals, changes: list[tuple[str, object]], problem: str
) -> None:
    assert refusals(("general", {"g": GENERAL})) == []
    found = refusals(("general", {"g": GENERAL}), *changes)
    assert [one for one in found if one.startswith(problem)], found


def test_a_general_rung_of_a_real_task_needs_text(refusals: Refusals) -> None:
    found = refusals(*MRPC, ("general", {"g": GENERAL}))
    assert (
        "data.corpus: missing; general.g learns from text: name a text or Parquet file, or several" in found
    )


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
