"""Reranking: grades are read within their range, and queries are judged as scikit-learn and the eye do."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_tasks import task
from sklearn.metrics import average_precision_score, ndcg_score

from bitladder.text.tokens import Tokens
from pipeline import kinds
from pipeline.kinds.checks import DataError
from pipeline.kinds.kind import Rows
from pipeline.kinds.metrics import average_precision, ndcg, reciprocal_rank

GRADED = task("reranking", range=[0, 3])
KIND = kinds.of(GRADED)


def read(labels: list[object], **changes: object) -> pd.DataFrame:
    own = task("reranking", **changes)
    columns = {"query": ["a"] * len(labels), "text": ["b"] * len(labels), "label": labels}
    return KIND.read(pa.table(columns), own, source="made up", training=True)


def test_grades_become_shares_of_their_range() -> None:
    frame = read([0, 3, 2], range=[0, 3])
    np.testing.assert_allclose(KIND.labels(frame, GRADED), [0, 1, 2 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, 1, 2], "row 2: 2 (1 such rows); expected numbers from 0 to 1"),
        ([0, 1, None], "row 2: missing"),
        ([0.0, float("nan"), 1.0], "row 1: nan"),
        ([0, 0], "no text is relevant"),
        ([1, 1], "every text is relevant"),
        (["a", "b"], "holds string"),
    ],
)
def test_what_is_no_grade_is_refused_with_its_row(labels: list[object], told: str) -> None:
    with pytest.raises(DataError) as caught:
        read(labels)
    assert told in str(caught.value)


RANKED = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 10**6)), min_size=2, max_size=14, unique_by=lambda one: one[1]
)


@settings(deadline=None)
@given(RANKED)
def test_each_query_is_judged_as_scikit_learn_does(ranked: list[tuple[int, int]]) -> None:
    grades, scores = (np.array(each, np.float64) for each in zip(*ranked, strict=True))
    assume(grades.any())
    best_first = grades[np.argsort(-scores)]
    assert average_precision(best_first) == pytest.approx(average_precision_score(grades > 0, scores))
    assert ndcg(best_first) == pytest.approx(ndcg_score([grades], [scores], k=10))


def test_the_first_relevant_text_counts_down_to_the_tenth_rank() -> None:
    assert reciprocal_rank(np.array([0, 0, 1, 1])) == pytest.approx(1 / 3)
    assert reciprocal_rank(np.array([0] * 10 + [1])) == 0


def outcome(queries: list[str], grades: list[float], logits: list[float]) -> list[list[float]]:
    numbers = [[at for at, one in enumerate(queries) if one == name] for name in dict.fromkeys(queries)]
    beside = [(np.array(own), np.array(grades)[own]) for own in numbers]
    rows = Rows(Tokens([], [], 0), np.array(grades), len(queries), beside)
    return KIND.outcome(np.array(logits)[:, None], rows, GRADED, None).examples_NK.tolist()


def test_a_query_without_a_relevant_text_is_left_out() -> None:
    assert outcome(["a", "a", "b"], [1, 0, 0], [0.5, 0.1, 0.9]) == [[1.0, 1.0, 1.0]]
    assert KIND.measured(["mrr_at_10"], np.zeros((0, 3)), GRADED) == {"mrr_at_10": None}


def test_a_model_that_says_the_same_of_all_gains_nothing_by_the_order_of_the_file() -> None:
    [[precision, _, rank]] = outcome(["a"] * 4, [1, 0, 0, 0], [0.3] * 4)
    assert (precision, rank) == (0.25, 0.25)


def test_texts_of_a_query_stay_together() -> None:
    frame = pd.DataFrame({"query": ["b", "a", "b"], "text": ["x", "y", "z"], "label": [0, 1, 0]})
    assert KIND.groups(frame, GRADED) == ["b", "a", "b"]
    assert KIND.counts(frame, GRADED) == {"queries": 2, "queries with a relevant text": 1, "relevant": 1}
