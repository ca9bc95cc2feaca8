"""Where models err: by class, against the teacher, and on which rows they are furthest from it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from made_up import params

from pipeline import kinds
from pipeline.evaluation import errors
from pipeline.tasks.scoring import Scored


def scored(logits: Any, answers: Any, truth: Any, examples: Any = None) -> Scored:
    return Scored(np.array(logits, np.float32), {}, 0.5, answers=answers, truth=truth, examples_NK=examples)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def task(name: str = "demo") -> Any:
    return params(Path(), f"task={name}", *([] if name == "demo" else ["model=minilm"])).task


TRUTH = [0, 1, 1, 1]
TEACHER = scored([[2, 0], [0, 2], [2, 0], [0, 2]], [0, 1, 0, 1], TRUTH)
MODEL = scored([[2, 0], [1, 0], [0, 2], [0, 1]], [0, 0, 1, 1], TRUTH)


def test_errors_by_class_and_against_the_teacher_worked_by_hand() -> None:
    found = errors.found(task(), {"teacher": TEACHER, "w1": MODEL})
    assert found.classes == {"unacceptable": 1, "acceptable": 3}
    assert found.models["teacher"].wrong == {"unacceptable": 0, "acceptable": 1}
    own = found.models["w1"]
    assert own.wrong == {"unacceptable": 0, "acceptable": 1}
    assert (own.only_teacher, own.only_model) == (1, 1)


def test_the_furthest_rows_come_first_and_equal_ones_are_left_out() -> None:
    own = errors.found(task(), {"teacher": TEACHER, "w1": MODEL}).models["w1"]
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    assert [one.row for one in own.furthest] == [2, 1, 3]
    assert own.furthest[0].distance == pytest.approx(sigmoid(2) - sigmoid(-2))
    first = own.furthest[0]
    assert (first.truth, first.teacher, first.model) == ("acceptable", "unacceptable", "acceptable")


def test_a_model_without_a_score_has_no_errors() -> None:
    nothing = Scored(np.full((4, 2), np.nan), {}, None)
    assert set(errors.found(task(), {"teacher": TEACHER, "w1": nothing}).models) == {"teacher"}
    assert errors.found(task(), {"teacher": nothing, "w1": MODEL}).models == {}


def test_numbers_have_no_classes_and_are_neither_right_nor_wrong() -> None:
    teacher, model = (scored([[n], [2]], [float(n), 2.0], [1.0, 2.0]) for n in (1, 3))
    found = errors.found(task("stsb"), {"teacher": teacher, "w1": model})
    assert found.classes is None
    own = found.models["w1"]
    assert (own.wrong, own.only_teacher, own.only_model) == (None, None, None)
    assert [(one.row, one.distance, one.model) for one in own.furthest] == [(0, 2.0, "3.000")]


def test_of_questions_the_difference_of_their_marks_counts() -> None:
    truth = [("Paris", "in Paris"), ("two",)]
    teacher = scored(np.zeros((3, 2, 5)), ["Paris", "three"], truth, np.array([[1.0], [0.0]]))
    model = scored(np.zeros((3, 2, 5)), ["London", "Two"], truth, np.array([[0.0], [1.0]]))
    own = errors.found(task("squad"), {"teacher": teacher, "w1": model}).models["w1"]
    assert (own.only_teacher, own.only_model) == (1, 1)
    assert [(one.row, one.truth, one.model) for one in own.furthest] == [
        (0, "Paris / in Paris", "London"),
        (1, "two", "Two"),
    ]


def test_labels_at_once_are_missed_one_by_one() -> None:
    kind, of = kinds.KINDS["multi_label"], SimpleNamespace(label_names=["a", "b"], num_labels=2)
    answers, truth = [(True, False), (False, False)], [(True, True), (False, False)]
    assert kind.classes(answers, truth, of) == {"a": (1, 0), "b": (1, 1)}  # type: ignore[arg-type]
    assert [kind.in_words(one, of) for one in truth] == ["a, b", "(none)"]  # type: ignore[arg-type]


def test_entities_are_missed_type_by_type() -> None:
    from bitladder.text.entities import Entity

    kind, of = kinds.KINDS["token_classification"], SimpleNamespace(label_names=["O", "B-PER", "B-LOC"])
    truth = [(Entity("PER", 0, 1), Entity("LOC", 3, 3))]
    answers = [(Entity("PER", 0, 0), Entity("LOC", 3, 3))]
    assert kind.classes(answers, truth, of) == {"PER": (1, 1), "LOC": (1, 0)}  # type: ignore[arg-type]
    assert kind.in_words(truth[0], of) == "PER 1-2, LOC 4"  # type: ignore[arg-type]


def test_what_is_written_is_read() -> None:
    found = errors.found(task(), {"teacher": TEACHER, "w1": MODEL})
    errors.write(found)
    assert errors.read() == found
