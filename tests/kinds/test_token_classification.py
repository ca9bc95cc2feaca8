"""Entities: words with tags and spans by characters are read as the same, and F1 is seqeval's."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tasks import TAGS, task
from seqeval.metrics import f1_score, precision_score, recall_score
from tiny_rung import write_tokenizer

from bitladder.text.entities import entities
from bitladder.text.tokens import Tokens
from pipeline import kinds
from pipeline.kinds.checks import DataError
from pipeline.kinds.kind import IGNORED, Rows

TASK = task("token_classification", metrics=["entity_f1", "entity_precision", "entity_recall"])
KIND = kinds.of(TASK)
Spans = list[dict[str, object]]


def read(texts: list[object], labels: list[object], *, training: bool = False) -> list[list[object]]:
    table = pa.table({"text": texts, "label": labels})
    frame = KIND.read(table, TASK, source="made up", training=training)
    return frame[["text", "word_starts", "word_ends", "label"]].to_numpy().tolist()


def span(start: int, end: int, label: str) -> dict[str, object]:
    return {"start": start, "end": end, "label": label}


def test_words_with_tags_and_spans_say_the_same() -> None:
    by_words = read([["Ann", "Lee", "left", "Rome", "."]], [["B-PER", "I-PER", "O", "B-LOC", "O"]])
    by_number = read([["Ann", "Lee", "left", "Rome", "."]], [[1, 2, 0, 3, 0]])
    by_span = read(["Ann Lee left Rome ."], [[span(13, 17, "LOC"), span(0, 8, "PER")]])
    assert by_words == by_number == by_span
    assert by_words == [["Ann Lee left Rome .", [0, 4, 8, 13, 18], [3, 7, 12, 17, 19], [1, 2, 0, 3, 0]]]


def test_a_span_ends_words_where_it_ends() -> None:
    assert read(["Romewards"], [[span(0, 4, "LOC")]]) == [["Romewards", [0, 4], [4, 9], [3, 0]]]


@pytest.mark.parametrize(
    ("texts", "labels", "told"),
    [
        ([["a", "b"]], [["O"]], "row 0: 1 tags for 2 words"),
        ([["a"]], [["B-ORG"]], "row 0: 'B-ORG'"),
        ([["a", " "]], [["O", "O"]], "none of them blank"),
        ([[], ["a"]], [[], ["O"]], "at least one word"),
        (["a b"], [[span(0, 9, "PER")]], "expected 0 <= start < end"),
        (["a b"], [[span(0, 3, "PER"), span(2, 3, "LOC")]], "expected spans that do not overlap"),
        (["a b"], [[span(1, 2, "PER")]], "expected spans with a visible character"),
        (["a b"], [[span(0, 1, "ORG")]], "expected labels of LOC, PER"),
        (["a b"], ["PER"], "expected lists of spans"),
        ([["a"]], ["O"], "expected lists of tags"),
    ],
)
def test_what_says_no_entities_is_refused(texts: list[object], labels: list[object], told: str) -> None:
    with pytest.raises(DataError) as caught:
        read(texts, labels)
    assert told in str(caught.value)


def test_without_an_entity_nothing_is_learned() -> None:
    with pytest.raises(DataError, match="no row has an entity"):
        read([["a", "b"]], [["O", "O"]], training=True)


def test_labels_stand_on_first_tokens_alone(tmp_path: Path) -> None:
    """[CLS] the dog ##s . [SEP]"""
    write_tokenizer(tmp_path)
    table = pa.table({"text": [["the", "dogs", "."], ["cat"]], "label": [["O", "B-PER", "O"], ["B-LOC"]]})
    rows = KIND.encode(KIND.read(table, TASK, source="made up", training=True), TASK, tmp_path)
    no = IGNORED
    assert rows.labels.tolist() == [[no, 0, 1, no, 0, no], [no, 3, no, no, no, no]]


SENTENCES = st.lists(
    st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=6),
    min_size=1,
    max_size=5,
)


@settings(deadline=None)
@given(SENTENCES)
def test_scores_are_those_of_seqeval(sentences: list[list[tuple[str, str]]]) -> None:
    predicted, wanted = ([[pair[side] for pair in one] for one in sentences] for side in (0, 1))
    longest = max(map(len, sentences))
    logits = np.zeros((len(sentences), len(TAGS), longest))
    for row, tags in enumerate(predicted):
        for token, tag in enumerate(tags):
            logits[row, TAGS.index(tag), token] = 1
    first_tokens = [list(range(len(one))) for one in sentences]
    rows = Rows(
        Tokens([], [], 0), np.zeros(1), len(sentences), (first_tokens, [entities(tags) for tags in wanted])
    )
    found = KIND.outcome(logits, rows, TASK, None)
    scores = KIND.measured(TASK.metrics, found.examples_NK, TASK)
    for name, theirs in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        assert (scores[f"entity_{name}"] or 0) == pytest.approx(theirs(wanted, predicted, zero_division=0))
