"""Sets that vectors are judged by: ranks, average precision, correlation, each against another way to it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_tasks import task
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from bitladder.text.tokens import Tokens
from pipeline import kinds
from pipeline.kinds.embeddings import Pairs, SetKind
from pipeline.kinds.kind import Rows

TASK = task("embeddings")
KIND = kinds.of(TASK)
seeds = st.integers(0, 2**31)


def rows(kind: SetKind, first: Any, second: Any, target: Any = ()) -> Rows:
    pairs = Pairs(kind, np.array(first), np.array(second), np.array(target, np.float32))
    tokens = Tokens([], [], 0)
    return Rows(tokens, np.zeros(0), len(pairs.first_N), pairs)


def unit(seed: int, count: int, size: int = 8) -> Any:
    vectors = np.random.default_rng(seed).normal(size=(count, size))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def measured(vectors: Any, own: Rows) -> dict[str, float | None]:
    return KIND.measured(TASK.metrics, KIND.outcome(vectors, own, TASK, None).examples_NK, TASK)


def test_retrieval_by_hand() -> None:
    """Queries 0 and 1 look for texts 2 and 3: one finds it at once, the other second."""
    vectors = np.array([[1, 0], [0.8, 0.6], [1, 0], [0, 1]], np.float32)
    found = measured(vectors, rows("retrieval", [0, 1], [2, 3]))
    assert found == pytest.approx(
        {"recall_at_10": 1.0, "recall_at_1": 0.5, "ndcg_at_10": (1 + 1 / np.log2(3)) / 2}
    )


@given(seeds, st.integers(1, 30), st.integers(1, 30))
def test_ranks_are_those_of_sorting_all_texts(seed: int, num_queries: int, num_texts: int) -> None:
    vectors = unit(seed, num_queries + num_texts)
    own = np.random.default_rng(seed).integers(0, num_texts, num_queries) + num_queries
    found = measured(vectors, rows("retrieval", range(num_queries), own))
    places = []
    for query, text in enumerate(own):
        nearness = {one: float(vectors[query] @ vectors[one]) for one in set(own)}
        places.append(sorted(nearness, key=nearness.__getitem__, reverse=True).index(text) + 1)
    assert found["recall_at_1"] == pytest.approx(np.mean(np.array(places) == 1))
    assert found["recall_at_10"] == pytest.approx(np.mean(np.array(places) <= 10))


def test_vectors_that_are_all_the_same_gain_nothing() -> None:
    same = np.ones((30, 4), np.float32) / 2
    own = rows("retrieval", range(15), range(15, 30))
    assert measured(same, own) == {"recall_at_10": 0, "recall_at_1": 0, "ndcg_at_10": 0}
    alike = measured(same, rows("labelled", range(15), range(15, 30), [1, 0, 0] * 5))
    assert alike["average_precision"] == pytest.approx(np.mean([k / (10 + k) for k in range(1, 6)]))
    assert measured(same, rows("graded", range(15), range(15, 30), range(15)))["spearman"] is None


@given(seeds)
def test_pairs_are_measured_as_scikit_learn_and_scipy_do(seed: int) -> None:
    vectors, generator = unit(seed, 40), np.random.default_rng(seed)
    cosines = (vectors[:20] * vectors[20:]).sum(axis=1)
    labels, scores = generator.permutation([0, 1] * 10), generator.normal(size=20)
    alike = measured(vectors, rows("labelled", range(20), range(20, 40), labels))
    assert alike == pytest.approx({"average_precision": average_precision_score(labels, cosines)})
    graded = measured(vectors, rows("graded", range(20), range(20, 40), scores))
    assert graded == pytest.approx({"spearman": spearmanr(cosines, scores.astype(np.float32)).statistic})


def test_a_set_is_read_once_for_each_text(tmp_path: Any) -> None:
    from tiny_rung import write_tokenizer

    write_tokenizer(tmp_path)
    frame = pd.DataFrame({"text": ["a b", "c", "a b"], "text_pair": ["c", "d e f", "a b"], "idx": range(3)})
    found = KIND.encode(frame, TASK, tmp_path)
    assert (len(found.tokens), found.num_examples) == (3, 3)
    pairs: Pairs = found.beside
    assert pairs.kind == "retrieval"
    assert pairs.first_N[0] == pairs.first_N[2] == pairs.second_N[2]
    assert pairs.second_N[0] == pairs.first_N[1]
