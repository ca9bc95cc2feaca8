"""What logits say, by kind of task: worked by hand, as JSON, as lines, as rows of a table."""

import json
from math import exp
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from packed_models import Make, made_folder

import bitladder
from bitladder.answers import KINDS, Answer
from bitladder.quantizers.precision import Precision

__all__ = ["made_folder"]  # a fixture
ANSWERS: dict[str, Answer] = {
    "classification": {"label": "a\x1b", "scores": {"a\x1b": 0.75, "b": 0.25}},
    "multi_label": {"labels": ["a"], "scores": {"a": 0.75, "b": 0.25}, "thresholds": {"a": 0.5, "b": 0.3}},
    "regression": {"score": 2.5},
    "reranking": {"score": 0.25},
    "embeddings": {"vector": [0.6, -0.8]},
    "question_answering": {"answer": None, "start": None, "end": None, "score": 1.0},
    "token_classification": {
        "entities": [{"label": "PER", "text": "Ann", "start": 0, "end": 3, "score": 0.5}]
    },
}
LINES = {
    "classification": ["a\\x1b", "  a\\x1b 0.7500", "  b 0.2500"],
    "multi_label": ["a", "  a 0.7500 (from 0.5000 on)", "  b 0.2500 (from 0.3000 on)"],
    "regression": ["score 2.5000"],
    "reranking": ["score 0.2500"],
    "embeddings": ["vector of 2 numbers: 0.6000, -0.8000, ... (--json prints all)"],
    "question_answering": ["no answer"],
    "token_classification": ["PER  Ann  characters 0 to 3  0.5000"],
}


def config(*labels: str, **more: Any) -> Any:
    return SimpleNamespace(labels=list(labels), **more)


def test_several_labels_at_once_by_hand() -> None:
    """1 / (1 + e^-logit) at least the threshold: 0.5 is, 0.27 is not, 0.88 is."""
    logits = np.array([0, -1, 2], np.float32)
    found = KINDS["multi_label"].answer(logits, config("a", "b", "c", thresholds=[0.5, 0.3, 0.2]))
    assert found["labels"] == ["c", "a"]
    assert found["scores"] == pytest.approx({"c": 1 / (1 + exp(-2)), "a": 0.5, "b": 1 / (1 + exp(1))})
    assert found["thresholds"] == {"c": 0.2, "a": 0.5, "b": 0.3}


def test_a_rank_is_a_share_and_a_regression_the_logit() -> None:
    logits = np.array([-3], np.float32)
    assert KINDS["reranking"].answer(logits, config("relevance")) == pytest.approx(
        {"score": 1 / (1 + exp(3))}
    )
    assert KINDS["regression"].answer(logits, config("LABEL_0")) == {"score": -3}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_is_printed_without_control_characters_and_kept_with_them(kind: str) -> None:
    assert KINDS[kind].lines(ANSWERS[kind]) == LINES[kind]
    row = KINDS[kind].row(ANSWERS[kind])
    assert list(row) == list(KINDS[kind].columns)
    json.dumps(row, allow_nan=False)


def test_nothing_found_is_said() -> None:
    assert KINDS["token_classification"].lines({"entities": []}) == ["no entity"]
    assert KINDS["multi_label"].lines({"labels": [], "scores": {}, "thresholds": {}}) == ["no label"]


def test_entities_stand_where_they_are_said_to(made: Make) -> None:
    model = bitladder.load(made(Precision(1, 1, 8), kind="token_classification"))
    texts = ["the big dog sees a cat.", "the bird", "!"]
    answers = model(texts)
    for text, answer in zip(texts, answers, strict=True):
        for one in answer["entities"]:
            assert one["label"] == "PER"
            assert text[one["start"] : one["end"]] == one["text"] != ""
            assert 1 / 3 < one["score"] <= 1
    assert any(answer["entities"] for answer in answers)
    with pytest.raises(ValueError, match="single texts"):
        model(texts, texts)
