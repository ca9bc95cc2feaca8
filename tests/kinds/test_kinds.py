"""Every kind of task has one object here and one in the library; a plan is checked by it without torch."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from made_tasks import SETS, task

from bitladder.answers import KINDS as ANSWERS
from pipeline import kinds
from pipeline.kinds.metrics import TITLES
from pipeline.params import KindName, Metric

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "sklearn", "scipy", "pandas", "mlflow")


def test_every_kind_is_there_and_every_answer() -> None:
    assert set(kinds.KINDS) == set(get_args(KindName)) == set(ANSWERS)


def test_every_metric_has_a_title_and_a_kind() -> None:
    known = {metric for kind in kinds.KINDS.values() for metric in kind.metrics}
    assert known == set(get_args(Metric)) == set(TITLES)


def test_params_are_checked_without_anything_heavy() -> None:
    code = f"import sys, pipeline.params_file; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["multi_label", "token_classification", "reranking"])
def test_the_score_is_the_first_metric_and_the_others_stand_beside_it(kind: str) -> None:
    own = task(kind)
    found = kinds.of(own)
    assert found.counted(own.metrics) == list(own.metrics)[:1]
    assert list(found.beside(own.metrics).values()) == list(own.metrics)[1:]


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("regression", {"range": None}, "range: missing"),
        ("regression", {"label_names": ["a"]}, "label_names: regression has no labels"),
        ("multi_label", {"label_names": ["a"]}, "label_names: multi_label needs at least 2"),
        ("multi_label", {"metrics": ["f1"]}, "metrics: f1 does not fit multi_label"),
        ("token_classification", {"label_names": ["O", "PER"]}, "'PER' is no tag"),
        ("token_classification", {"metrics": ["entity_recall"]}, "has to be entity_f1"),
        ("token_classification", {"sentence_columns": ["a", "b"]}, "needs 1"),
        ("reranking", {"sentence_columns": ["text"]}, "needs 2"),
        ("embeddings", {"judged_by": None}, "judged_by: missing"),
        ("embeddings", {"validation_splits": ["pairs", "searched", "graded"]}, "in their order: [searched, "),
        ("embeddings", {"metrics": ["spearman"]}, "spearman comes first, and searched has recall_at_1 or"),
        ("embeddings", {"judged_by": SETS[:1]}, "no set of judged_by has spearman"),
        ("embeddings", {"judged_by": [{**SETS[1], "score": "s"}]}, "judged_by[0]: has a score and a label"),
        ("embeddings", {"sentence_columns": ["words"]}, "has to be [text]"),
    ],
)
def test_what_does_not_fit_a_kind_is_told(kind: str, changes: dict[str, object], told: str) -> None:
    own = task(kind, **changes)
    assert told in "; ".join(f"{field}: {sentence}" for field, sentence in kinds.of(own).problems(own))


@pytest.mark.parametrize("value", [[5, 0], [1], ["a", 2], 3, [True, 2]])
def test_a_range_is_two_numbers_in_order(value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        task("regression", range=value)


@pytest.mark.parametrize("kind", ["classification", "multi_label", "regression", "token_classification"])
def test_two_models_of_the_same_logits_decide_alike(kind: str) -> None:
    own = kinds.of(task(kind))
    logits = np.random.default_rng(0).normal(size=(4, 3, 5) if own.head.per_token else (4, 3))
    first, second = own.decided(logits, None), own.decided(logits.copy(), None)
    assert (first is None) == (kind == "regression")
    assert first is None or (first == second).all()
