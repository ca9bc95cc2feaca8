"""What a person did not say is chosen so that params.yaml is right with it."""

from hypothesis import given
from hypothesis import strategies as st

from flows.compress.asked import LONGEST_CONTEXT, answering
from pipeline import kinds
from pipeline.params import Task


def task(max_length: int) -> Task:
    return Task.model_validate(
        {
            "name": "custom",
            "kind": "question_answering",
            "sentence_columns": ["question", "context"],
            "label_names": [],
            "metrics": ["exact_match", "f1"],
            "validation_splits": ["validation"],
            "max_length": max_length,
            "selection_fraction": 0.1,
            "answering": answering(max_length),
        }
    )


def test_long_contexts_are_cut_as_bert_cut_squad() -> None:
    squads = {"doc_stride": 128, "max_question_length": 64, "max_answer_length": 30, "unanswerable": True}
    assert answering(LONGEST_CONTEXT) == answering(512) == squads


@given(st.integers(8, 512))
def test_questions_and_windows_fit_whatever_a_model_reads(max_length: int) -> None:
    found = task(max_length)
    assert list(kinds.of(found).problems(found)) == []
