"""Question answering needs what other tasks have not, and refuses what it cannot use."""

import pytest
from changed_params import MRPC, Refusals

SQUAD = (
    *MRPC,
    ("task.name", "squad"),
    ("task.kind", "question_answering"),
    ("task.sentence_columns", ["question", "context"]),
    ("task.label_names", []),
    ("task.metrics", ["exact_match", "f1"]),
    ("task.max_length", 384),
    (
        "task.answering",
        {"doc_stride": 128, "max_question_length": 64, "max_answer_length": 30, "unanswerable": False},
    ),
)


def test_questions_read_from_files_with_a_local_model_are_accepted(refusals: Refusals) -> None:
    assert refusals(*SQUAD) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([*SQUAD, ("task.answering", ...)], "task.answering: missing"),
        (
            [*MRPC, ("task.answering", dict(SQUAD[-1][1]))],
            "task.answering: only for kind: question_answering",
        ),
        (
            [*SQUAD, ("task.sentence_columns", ["context", "question"])],
            "task.sentence_columns: context, question",
        ),
        (
            [*SQUAD, ("task.metrics", ["f1"])],
            "task.metrics: f1; question_answering needs both exact_match and f1",
        ),
        (
            [*SQUAD, ("task.metrics", ["exact_match", "f1", "accuracy"])],
            "task.metrics: accuracy does not fit",
        ),
        ([*SQUAD, ("task.label_names", ["yes", "no"])], "task.label_names: question_answering has no labels"),
        ([*SQUAD, ("task.max_length", 195)], "task.max_length: 195 tokens are too few"),
        (
            [*SQUAD, ("data", {"source": "path"})],
            "data.root: missing; data.source: path reads <root>/<task>/",
        ),
        ([*SQUAD, ("data.max_validation_rows", 0)], "data.max_validation_rows: 0 is not allowed"),
    ],
)
def test_what_questions_need_is_asked_for(
    refusals: Refusals, changes: list[tuple[str, object]], problem: str
) -> None:
    found = refusals(*changes)
    assert len(found) == 1
    assert found[0].startswith(problem)
