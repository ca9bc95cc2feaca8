"""Several labels at once: what is read, the thresholds that are chosen, F1 over labels."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tasks import task
from sklearn.metrics import accuracy_score, f1_score

from bitladder.heads import sigmoid
from bitladder.text.tokens import Tokens
from pipeline import kinds
from pipeline.kinds.checks import DataError
from pipeline.kinds.kind import Rows
from pipeline.kinds.multi_label import thresholds_of

TASK = task("multi_label", metrics=["micro_f1", "macro_f1", "accuracy"])
KIND = kinds.of(TASK)
LOGITS = st.lists(
    st.tuples(*[st.integers(-4, 4).map(float)] * 3, *[st.booleans()] * 3), min_size=2, max_size=12
)


def read(**columns: object) -> list[list[int]]:
    table = pa.table({"text": ["a b", "c"], **columns})
    return KIND.read(table, TASK, source="made up", training=False)["label"].tolist()


def test_lists_of_names_lists_of_numbers_and_columns_say_the_same() -> None:
    by_name = read(label=[["long", "angry"], []])
    assert by_name == read(label=[[0, 2], []]) == read(angry=[1, 0], funny=[0, 0], long=[True, False])
    assert by_name == [[1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"label": [["long"], ["loud"]]}, "row 1: ['loud']"),
        ({"label": [["long"], None]}, "row 1: missing"),
        ({"label": [0, 1]}, "holds int64; expected a list of angry, funny, long"),
        ({"angry": [1, 0], "funny": [1, 2], "long": [0, 0]}, "column 'funny', row 1: 2"),
        ({"angry": [1, 0]}, "nor columns ['funny', 'long'] of 0 and 1"),
    ],
)
def test_what_is_no_list_of_labels_is_refused(columns: dict[str, object], told: str) -> None:
    with pytest.raises(DataError) as caught:
        read(**columns)
    assert told in str(caught.value)


def test_a_label_that_no_row_has_cannot_be_learned() -> None:
    table = pa.table({"text": ["a b"], "label": [["long", "angry"]]})
    with pytest.raises(DataError, match="no row has the label 'funny'"):
        KIND.read(table, TASK, source="made up", training=True)


@settings(deadline=None)
@given(LOGITS)
def test_no_other_threshold_gives_a_label_a_larger_f1(rows: list[tuple[float, ...]]) -> None:
    logits_NL, labels_NL = np.array(rows)[:, :3], np.array(rows)[:, 3:]
    chosen = thresholds_of(logits_NL, labels_NL)
    for threshold, shares_N, labels_N in zip(chosen, sigmoid(logits_NL).T, labels_NL.T, strict=True):
        assert 0 < threshold < 1
        best = f1_score(labels_N, shares_N >= threshold, zero_division=0)
        others = [f1_score(labels_N, shares_N >= other, zero_division=0) for other in (*shares_N, 1.0)]
        assert best >= max(others) - 1e-12


@settings(deadline=None)
@given(LOGITS)
def test_metrics_are_those_of_scikit_learn(rows: list[tuple[float, ...]]) -> None:
    logits_NL, labels_NL = np.array(rows)[:, :3], np.array(rows)[:, 3:].astype(np.float32)
    tokens = Tokens([[1]] * len(rows), [[0]] * len(rows), 0)
    found = KIND.outcome(logits_NL, Rows(tokens, labels_NL, len(rows)), TASK, [0.5, 0.3, 0.6])
    scores = KIND.measured(TASK.metrics, found.examples_NK, TASK)
    predicted_NL = sigmoid(logits_NL) >= [0.5, 0.3, 0.6]
    for average in ("micro", "macro"):
        expected = f1_score(labels_NL, predicted_NL, average=average, zero_division=0)
        assert (scores[f"{average}_f1"] or 0.0) == pytest.approx(expected)
    assert scores["accuracy"] == found.right == pytest.approx(accuracy_score(labels_NL, predicted_NL))


def test_always_giving_the_most_frequent_labels_by_hand() -> None:
    """[1, 0, 0] twice of three rows: 2 of 3 given right, 3 wanted."""
    frame = pd.DataFrame({"label": [[1, 0, 0], [1, 0, 0], [0, 1, 0]]})
    share, score = KIND.constant(frame, TASK)
    assert (share, score) == (pytest.approx(2 / 3), pytest.approx(2 * 2 / (3 + 3)))
