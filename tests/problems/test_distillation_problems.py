"""taught_by, distillation and phases in params.yaml: what cannot teach is refused by field and value."""

from pathlib import Path
from typing import Any

import pytest
from changed_rungs import problems

LOGITS = {"logits": 1.0, "hidden_states": 0.0, "attention_scores": 0.0, "labels": 0.0}
NOTHING = dict.fromkeys(LOGITS, 0.0)
HIDDEN = {**NOTHING, "hidden_states": 1.0}
DIRECTIONS = {**NOTHING, "directions": 1.0}
TWO = [{"share": 0.5, "distillation": HIDDEN}, {"share": 0.5, "distillation": LOGITS}]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"w2": {"taught_by": "w44"}},
            "weights.w2.taught_by: no rung 'w44'; did you mean 'w4'? known: teacher,",
        ),
        (
            {"w2": {"taught_by": "w2"}},
            "weights.w2.taught_by: a circle: w2 is taught by w2; every rung must lead to the teacher",
        ),
        (
            {"w2": {"taught_by": "w1"}},
            "weights.w2.taught_by: a circle: w2 is taught by w1, w1 starts from w2; every rung",
        ),
        (
            {"w8": {"taught_by": "w1a8"}},
            "weights.w8.taught_by: a circle: w8 is taught by w1a8, w1a8 starts from w1, w1 starts from w2,",
        ),
        (
            {"w1a8_direct": {"taught_by": "w1a1_random"}, "w1a1_random": {"taught_by": "w1a8_direct"}},
            "weights_activations.w1a1_random.taught_by: a circle: w1a1_random is taught by w1a8_direct, "
            "w1a8_direct is taught by w1a1_random",
        ),
        (
            {"w2": {"distillation": LOGITS, "phases": TWO}},
            "weights.w2.distillation: phases have losses of their own; write one of the two",
        ),
        (
            {"w2": {"phases": [TWO[0], {**TWO[1], "share": 0.4}]}},
            "weights.w2.phases: the shares add up to 0.9, and must add up to 1",
        ),
        (
            {"w2": {"phases": TWO[:1]}},
            "weights.w2.phases: the shares add up to 0.5, and must add up to 1; "
            "for one loss write distillation",
        ),
        (
            {"w2": {"phases": [TWO[0], {**TWO[1], "share": 1.5}]}},
            "weights.w2.phases[1].share: 1.5 is not allowed",
        ),
        (
            {"w2": {"phases": [TWO[0], {**TWO[1], "distillation": NOTHING}]}},
            "weights.w2.phases[1].distillation: every weight is 0, so nothing would be learned; raise one",
        ),
        (
            {"w2": {"learning_rate_factor": 2500.0}},
            "weights.w2.learning_rate_factor: 2500 times the learning rate ",
        ),
        (
            {"w2": {"phases": [{**TWO[0], "learning_rate_factor": 2500.0}, TWO[1]]}},
            "weights.w2.phases[0].learning_rate_factor: 2500 times the learning rate "
            "0.0005 is 1.25; at most 1",
        ),
        (
            {"w2": {"phases": [TWO[0], {**TWO[1], "distillation": {**LOGITS, "logit": 1.0}}]}},
            "weights.w2.phases[1].distillation.logit: unknown key; did you mean 'logits'?",
        ),
        (
            {"w2": {"distillation": {**HIDDEN, "temperature": 4.0}}},
            "weights.w2.distillation.temperature: 4, but logits weighs 0; raise logits",
        ),
        (
            {"w2": {"distillation": {**LOGITS, "temperature": 1000.0}}},
            "weights.w2.distillation.temperature: 1000.0 is not allowed; expected a number of at least "
            "0.01 and at most 100",
        ),
        (
            {"w2": {"distillation": {**NOTHING, "temperature": 4.0}}},
            "weights.w2.distillation: every weight is 0",
        ),
        ({"distillation": {**NOTHING, "directions": 0.0}}, "distillation: every weight is 0"),
        (
            {"w1a1_random": {"attention": "bi", "distillation": {**LOGITS, "attention_scores": 1.0}}},
            "weights_activations.w1a1_random.attention: bi has no softmax, whose scores "
            "attention_scores in weights_activations.w1a1_random.distillation compares; write 0",
        ),
        (
            {"w1a1": {"attention": "bi", "distillation": None}},
            "weights_activations.w1a1.attention: bi has no softmax, whose scores attention_scores in "
            "distillation compares; write 0",
        ),
        (
            {"w1a1_random": {"attention": "bi"}, "w1a8": {"taught_by": "w1a1_random"}},
            "weights_activations.w1a8.taught_by: w1a1_random has attention: bi, and attention_scores",
        ),
    ],
)
def test_what_cannot_teach_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    found = problems(tmp_path, **changes)
    assert any(each.startswith(problem) for each in found), found


def test_a_circle_of_two_is_said_once_and_one_of_init_from_by_the_ladder_alone(tmp_path: Path) -> None:
    each_other = {"w1a8_direct": {"taught_by": "w1a1_random"}, "w1a1_random": {"taught_by": "w1a8_direct"}}
    assert len(problems(tmp_path, **each_other)) == 1
    found = problems(tmp_path, w8={"init_from": "w2"})
    assert [each for each in found if "circle" in each] == [
        "weights.w2.init_from: a circle: w2 starts from w4, w4 starts from w8, w8 starts from w2; every rung "
        "must lead to the teacher"
    ]


def test_fewer_steps_than_phases_are_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, "budget.evaluations=1", w2={"phases": TWO, "duration": {"steps": 1}})
    assert found == ["weights.w2.phases: 2 phases do not fit in 1 steps; each needs at least one"]


def test_a_regression_has_no_temperature(tmp_path: Path) -> None:
    task = ("task=stsb", "model=minilm", "data.source=path", "data.root=here")
    found = problems(tmp_path, *task, distillation={"temperature": 4.0})
    assert found == ["distillation.temperature: 4, but a regression has no softmax; leave it out"]


@pytest.mark.parametrize("loss", [DIRECTIONS, {**NOTHING, "attention_scores": 1.0}])
def test_a_narrow_model_cannot_show_its_heads_to_a_wide_one(tmp_path: Path, loss: dict[str, float]) -> None:
    wide = {"width": None, "split": None, "init_from": "teacher", "phases": None}
    found = problems(
        tmp_path,
        "ladder=binarybert",
        w1_split={**wide, "taught_by": "w2_half", "distillation": loss},
        w1a8_split={**wide, "activation_bits": 8},
        w1a4_split=wide,
    )
    assert [each for each in found if "taught_by" in each] == [
        "weights.w1_split.taught_by: w2_half has 0.5 of the heads, this rung 1, and "
        f"{next(term for term, weight in loss.items() if weight)} in weights.w1_split.distillation compares "
        "heads; write 0 there, or choose a teacher as wide"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"w1a1": {"taught_by": "w1a4"}},
        {"w1": {"taught_by": "w8"}, "w8": {"taught_by": "teacher"}},
        {"w2": {"phases": TWO}},
        {"w2": {"phases": [{**TWO[0], "learning_rate_factor": 2.5}, TWO[1]]}},
        {"w2": {"phases": [{**TWO[n % 2], "share": share} for n, share in enumerate((0.1, 0.2, 0.7))]}},
        {"w2": {"distillation": {**LOGITS, "temperature": 4.0, "directions": 1.0, "labels": 0.5}}},
        {"w1a1_random": {"attention": "bi", "distillation": {**LOGITS, "directions": 1.0}}},
    ],
)
def test_these_may_teach(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert problems(tmp_path, **changes) == []


@pytest.mark.parametrize("loss", [DIRECTIONS, {**NOTHING, "attention_scores": 1.0}])
def test_a_wide_teacher_and_one_as_narrow_may_show_their_heads(
    tmp_path: Path, loss: dict[str, float]
) -> None:
    taught = {"phases": None, "distillation": loss}
    found = problems(
        tmp_path, "ladder=binarybert", w2_half=taught, w1_split={**taught, "taught_by": "w2_half"}
    )
    assert found == []
