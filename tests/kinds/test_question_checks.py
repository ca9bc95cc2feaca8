"""Questions that cannot be trained on are refused; answers stand at their place in the context."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from pipeline.kinds import question_checks
from pipeline.kinds.checks import DataError

CONTEXT = "The river is long. A doctor walked along the river."


def table(*answers: Any, **columns: Any) -> pa.Table:
    """A row for each list of (text, start), all to one context."""
    number = range(len(answers))
    rows = {
        "id": [f"q{row}" for row in number],
        "title": ["Rivers"] * len(answers),
        "context": [CONTEXT] * len(answers),
        "question": ["Who walked?"] * len(answers),
        "answers": [{"text": [t for t, _ in own], "answer_start": [s for _, s in own]} for own in answers],
    }
    return pa.table(rows | columns)


def checked(made: pa.Table, *, unanswerable: bool = False) -> pd.DataFrame:
    return question_checks.checked(made, source="train.parquet", unanswerable=unanswerable)


def refused(made: pa.Table, *, unanswerable: bool = False) -> list[str]:
    with pytest.raises(DataError) as caught:
        checked(made, unanswerable=unanswerable)
    return caught.value.problems


def test_several_answers_and_their_spaces_are_kept() -> None:
    [texts] = checked(table([("river", 4), (" river", 44)]))["answer_texts"]
    assert texts == ["river", " river"]


@pytest.mark.parametrize("off", [-2, -1, 1, 2])
def test_a_start_that_is_off_by_two_characters_is_put_right_and_told(
    off: int, capsys: pytest.CaptureFixture[str]
) -> None:
    place = CONTEXT.index("doctor")
    [starts] = checked(table([("doctor", place + off)]))["answer_starts"]
    assert starts == [place]
    assert "train.parquet: 1 answers stood up to 2 characters" in capsys.readouterr().out


@pytest.mark.parametrize("start", [0, 3, len(CONTEXT) + 5, -1])
def test_an_answer_that_does_not_stand_at_its_start_is_refused(start: int) -> None:
    assert refused(table([("long", 13)], [("doctor", start)])) == [
        f"train.parquet: column 'answers', row 1: 'doctor' does not stand at character {start} of its "
        "context (1 such rows)"
    ]


def test_a_question_without_an_answer_belongs_to_version_2_alone() -> None:
    made = table([("river", 4)], [])
    assert "row 1: no answer (1 such rows)" in refused(made)[0]
    assert checked(made, unanswerable=True)["answer_texts"].tolist() == [["river"], []]


def test_no_answer_at_all_is_refused_in_either_version() -> None:
    assert "no question has an answer" in refused(table([], []), unanswerable=True)[0]


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["a"], "answer_start": []},
        {"text": [None], "answer_start": [0]},
        {"text": [" "], "answer_start": [3]},
    ],
)
def test_texts_and_starts_come_in_pairs(answers: dict[str, Any]) -> None:
    made = table([("river", 4)], [("river", 4)], answers=[answers, {"text": ["river"], "answer_start": [4]}])
    assert "row 0: " in refused(made)[0]
    assert "as many starts as texts" in refused(made)[0]


def test_an_id_stands_once() -> None:
    assert "'q' stands 2 times" in refused(table([("river", 4)], [("river", 4)], id=["q", "q"]))[0]


def test_what_is_missing_or_of_another_type_is_named_all_at_once() -> None:
    made = table([("river", 4)], answers=["river"], context=["  "]).drop_columns(["title"])
    told = refused(made)
    assert len(told) == 3
    assert "no column 'title'" in told[0]
    assert "column 'context', row 0: '  '" in told[1]
    assert "column 'answers' holds string" in told[2]
    assert "no rows" in refused(table([("river", 4)]).slice(0, 0))[0]
