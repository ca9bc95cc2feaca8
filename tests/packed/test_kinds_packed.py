"""config.json says what kind of task a model is of, and only what fits together is read."""

from typing import Any

import pytest
from packed_models import Make, made_folder

from bitladder import files
from bitladder.packed import format
from bitladder.packed.tensors import FormatError
from bitladder.quantizers.precision import Precision

__all__ = ["made_folder"]  # a fixture
KINDS = [
    "classification",
    "question_answering",
    "multi_label",
    "reranking",
    "token_classification",
    "embeddings",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_says_its_kind(made: Make, kind: str) -> None:
    config = format.read_config(made(Precision(1, 1, 8), kind=kind))
    assert config.kind == kind
    assert config.head.per_token == (kind in ("question_answering", "token_classification"))


def test_a_file_from_before_is_told_by_its_labels(made: Make) -> None:
    values = format.read_config(made(Precision(1, 1, 8), kind="reranking")).as_dict()
    values.pop("bitladder_kind")
    assert format.parse_config(values, source="here").kind == "regression"


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("multi_label", {"bitladder_thresholds": None}, "bitladder_thresholds: needed"),
        ("multi_label", {"bitladder_thresholds": [0.5]}, "1 for 3 labels"),
        ("multi_label", {"bitladder_thresholds": [0.5, 1.0, 0.5]}, "less than 1"),
        ("classification", {"bitladder_thresholds": [0.5] * 3}, "bitladder_thresholds: needed"),
        ("classification", {"bitladder_kind": "reranking"}, "reranking has one label, not 3"),
        ("classification", {"bitladder_kind": "token_classification"}, "token_classification needs"),
        ("token_classification", {"bitladder_kind": None}, "token_classification needs"),
        ("token_classification", {"id2label": {"0": "O", "1": "PER", "2": "I-PER"}}, "'PER' is no tag"),
        ("question_answering", {"bitladder_kind": "reranking"}, "reranking does not answer questions"),
        ("classification", {"bitladder_kind": "poetry"}, "bitladder_kind"),
        ("classification", {"bitladder_kind": "embeddings"}, "embeddings needs"),
        ("classification", {"id2label": {}, "label2id": {}}, "id2label: a sentence encoder has no labels"),
        ("embeddings", {"bitladder_kind": None}, "embeddings needs"),
        ("embeddings", {"id2label": {"0": "a"}}, "id2label: a sentence encoder has no labels"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    made: Make, kind: str, changes: dict[str, Any], told: str
) -> None:
    values = files.read_json(made(Precision(1, 1, 8), kind=kind) / "config.json") | changes
    with pytest.raises(FormatError) as caught:
        format.parse_config(values, source="here")
    assert told in str(caught.value)
