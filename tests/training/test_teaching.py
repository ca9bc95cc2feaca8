"""Rungs taught by rungs, in phases, with every term: what is trained, written down and gone on with."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_training import KilledError
from test_resume_stages import killed_before
from tiny_model import batch, classifier
from torch import nn

from bitladder import files
from bitladder.modeling import checkpoint, routines
from bitladder.modeling.bert import HEADS_KEY
from bitladder.modeling.layers import QuantizedLinear
from bitladder.quantizers.precision import Precision
from pipeline import paths, record
from pipeline.distillation.objective import WHOLE, Objective, total
from pipeline.params import Params
from pipeline.rungs import Distillation, Phase
from pipeline.tasks.batches import Batch
from pipeline.training import student as first_student
from pipeline.training import teaching
from pipeline.training.fit_models import fit_rung
from pipeline.training.resume import OtherTrainingError
from pipeline.training.teaching import against_teacher, load_teacher, share_out

NOTHING = {"logits": 0.0, "hidden_states": 0.0, "attention_scores": 0.0, "labels": 0.0}
PHASES = [
    Phase(
        share=0.6,
        distillation=Distillation(**{**NOTHING, "hidden_states": 1.0, "directions": 1.0}),
        learning_rate_factor=2.5,
    ),
    Phase(share=0.4, distillation=Distillation(**{**NOTHING, "logits": 1.0, "labels": 0.5}, temperature=2.0)),
]
LABELLED: Batch = {**batch(), "labels": torch.tensor([0, 1, 1, 0, 1])}


def changed(params: Params, name: str, **fields: object) -> Params:
    rung = params.rungs[name].model_copy(update=fields)
    return params.model_copy(
        update={"weights_activations": {**params.weights_activations, name: rung}, "weights": params.weights}
    )


def refit(params: Params, name: str) -> record.Record:
    return fit_rung(params, name, stage=params.rungs[name].stage)


# a rung as teacher


def test_the_record_names_the_model_that_taught(own_ladder: Params) -> None:
    """BiT's multi-distillation: from w1a4, taught by it."""
    found = refit(changed(own_ladder, "w1a1", taught_by="w1a4"), "w1a1")
    assert (found.parent, found.teacher) == ("w1a4", "w1a4")
    assert found.teacher_digest == files.sha256(paths.model_dir("w1a4") / checkpoint.WEIGHTS)
    assert {origin.model for origin in found.init} == {"w1a4"}


def test_another_teacher_makes_another_model(own_ladder: Params) -> None:
    first = files.sha256(paths.model_dir("w1a1") / checkpoint.WEIGHTS)
    assert refit(changed(own_ladder, "w1a1", taught_by="w1a8"), "w1a1").digest != first


@pytest.mark.parametrize("name", routines.NAMES)
@pytest.mark.parametrize("rung", ["w1", "w1a8", "w1a1"])
def test_a_quantized_teacher_answers_as_it_is_scored(ladder: Params, rung: str, name: str) -> None:
    """Its own bits and steps, dropout off, nothing to learn; config and tokenizer remain the teacher's."""
    teacher = load_teacher(rung, routines.choose(name=name))
    published = checkpoint.load_bert(paths.model_dir(rung))
    routines.use(published, routines.choose(name=name))
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert any(isinstance(part, QuantizedLinear) for part in teacher.modules())
    rows = {key: tensor % 40 if key == "input_ids" else tensor for key, tensor in batch().items()}
    with torch.no_grad():
        assert torch.equal(teacher(**rows).logits, published(**rows).logits)


def test_a_teachers_dropout_is_off_through_a_whole_step() -> None:
    """BinaryBERT switches its teacher to train mode."""
    teacher = classifier(Precision(1, 1, 8), seed=2).requires_grad_(False)
    assert teacher.config.hidden_dropout_prob > 0
    student = classifier(Precision(1, 1, 1), seed=1).train()
    for part in student.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    terms = against_teacher(
        teacher,
        Objective(
            logits=1.0,
            hidden_states=1.0,
            attention_scores=1.0,
            labels=0.0,
            loss="cross_entropy",
            directions=1.0,
        ),
    )
    first, second = (total(terms(student, LABELLED, WHOLE)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_teacher_without_the_students_heads_is_refused_where_heads_are_compared() -> None:
    student, teacher = classifier(seed=1), classifier(seed=2)
    setattr(student.config, HEADS_KEY, [[0, 1, 2, 3]] * 2)
    setattr(teacher.config, HEADS_KEY, [[1, 2, 3, 4]] * 2)
    for weights in ({"attention_scores": 1.0}, {"attention_scores": 0.0, "directions": 1.0}):
        goal = Objective(logits=0.0, hidden_states=0.0, labels=0.0, loss="cross_entropy", **weights)
        with pytest.raises(ValueError, match=r"cannot show a student its heads \[0\]"):
            against_teacher(teacher, goal)(student, LABELLED, WHOLE)
    alone = Objective(logits=1.0, hidden_states=1.0, attention_scores=0.0, labels=0.0, loss="cross_entropy")
    assert set(against_teacher(teacher, alone)(student, LABELLED, WHOLE)) == {"logits", "hidden_states"}


def test_the_full_precision_teacher_is_read_for_its_weights_only_where_they_are_copied(
    own_ladder: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    source = first_student.source

    def watched(name: str) -> object:
        read.append(name)
        return source(name)

    monkeypatch.setattr(first_student, "source", watched)
    refit(changed(own_ladder, "w1a1", taught_by="w1a4"), "w1a1")
    assert "teacher" not in read


# phases


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(6, 10_000))
def test_shares_of_the_steps_add_up_exactly(parts: list[float], num_steps: int) -> None:
    shares = [part / math.fsum(parts) for part in parts]
    found = share_out(num_steps, shares)
    assert sum(found) == num_steps
    assert min(found) >= 1
    for own, share in zip(found, shares, strict=True):
        assert abs(own - share * num_steps) <= len(shares) + 1


def test_shares_worked_by_hand() -> None:
    assert share_out(100, [0.5, 0.5]) == [50, 50]
    assert share_out(10, [0.9, 0.1]) == [9, 1]
    assert share_out(3, [0.98, 0.01, 0.01]) == [1, 1, 1]
    with pytest.raises(ValueError, match="1 steps cannot be shared by 2 phases"):
        share_out(1, [0.5, 0.5])


@pytest.fixture
def in_phases(own_ladder: Params) -> Params:
    """w1a1 in two phases, taught by w1a4; a state after the fifth of seven steps and at both ends."""
    budget = own_ladder.budget.model_copy(
        update={"binary_activations": own_ladder.budget.binary_activations.model_copy(update={"steps": 7})}
    )
    training = own_ladder.training.model_copy(update={"checkpoint_every": 5})
    params = own_ladder.model_copy(update={"budget": budget, "training": training})
    return changed(params, "w1a1", taught_by="w1a4", phases=PHASES, distillation=None)


def test_the_record_says_the_phases_and_the_curve_runs_on(in_phases: Params) -> None:
    found = refit(in_phases, "w1a1")
    learning_rate = in_phases.training.binary_activations.learning_rate
    assert (found.steps, found.settings["learning_rate"]) == (7, learning_rate)
    assert "distillation" not in found.settings
    assert [(phase["steps"], phase["learning_rate"]) for phase in found.settings["phases"]] == [
        (4, 2.5 * learning_rate),
        (3, learning_rate),
    ]
    assert found.settings["phases"][1]["distillation"] == PHASES[1].distillation.model_dump()
    lines = (paths.model_dir("w1a1") / paths.CURVE).read_text().splitlines()
    assert lines[0] == "step,loss,score"
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(1, 8))
    assert lines[4].split(",")[2], "the end of the first phase is scored"
    assert 1 <= found.best_step <= 7
    assert sum(found.sign_flips.values()) > 0


@pytest.mark.parametrize("step", [2, 5, 6, 7])
def test_killed_in_a_phase_or_between_two_it_ends_with_the_same_bytes(
    in_phases: Params, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refit(in_phases, "w1a1")
    first = files.verify(paths.model_dir("w1a1"))
    shutil.rmtree(paths.model_dir("w1a1"))
    with killed_before(step, monkeypatch), pytest.raises(KilledError):
        refit(in_phases, "w1a1")
    with killed_before(0, monkeypatch) as begun:
        refit(in_phases, "w1a1")
    assert begun[0] == {2: 1, 5: 5, 6: 6, 7: 6}[step]  # states after 4, the first phase's end, and after 5
    assert files.verify(paths.model_dir("w1a1")) == first


def test_another_teacher_or_other_phases_are_refused_by_name(
    in_phases: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_before(6, monkeypatch), pytest.raises(KilledError):
        refit(in_phases, "w1a1")
    with pytest.raises(OtherTrainingError) as by_another:
        refit(changed(in_phases, "w1a1", taught_by="w1a8"), "w1a1")
    lines = [line.split(":")[0].strip() for line in str(by_another.value).splitlines()[1:-2]]
    assert lines == ["sha256 of teacher", "weights_activations.w1a1.taught_by"]
    shares = [phase.model_copy(update={"share": 0.5}) for phase in PHASES]
    with pytest.raises(OtherTrainingError, match=r"weights_activations\.w1a1\.phases: "):
        refit(changed(in_phases, "w1a1", phases=shares), "w1a1")


def test_the_teachers_queries_are_looked_at_in_the_phase_that_asks_for_them(
    in_phases: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    trace = teaching.trace

    def watched(model: object, rows: Batch, *, heads: bool) -> object:
        asked.append(heads)
        return trace(model, rows, heads=heads)  # type: ignore[arg-type]

    monkeypatch.setattr(teaching, "trace", watched)
    refit(in_phases, "w1a1")
    assert asked == [True] * 2 * 4 + [False] * 2 * 3


def test_the_ladder_was_left_alone(climbed: Path) -> None:
    assert record.read(climbed / paths.model_dir("w1a1")).teacher == "teacher"
