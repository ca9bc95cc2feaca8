"""A fine-tuned model of every kind of task is taken as it is, whatever its architecture; what does not fit is
refused in a sentence."""

from pathlib import Path
from typing import Any

import foreign_models
import made_up
import numpy as np
import own_rows
import pytest
import torch
import transformers

from bitladder.modeling import checkpoint
from pipeline import kinds, paths, record
from pipeline.data.tables import read_split
from pipeline.params import Params
from pipeline.params_file import ParamsError
from pipeline.stages import prepare, pretrained, teacher

KINDS = ["multi_label", "regression", "reranking", "token_classification", "question_answering"]
PROBLEM = {"multi_label": "multi_label_classification", "regression": "regression"}
AUTO = {
    "token_classification": transformers.AutoModelForTokenClassification,
    "question_answering": transformers.AutoModelForQuestionAnswering,
}


def model_of(folder: Path, kind: str, architecture: str = "bert", *labels: str) -> Path:
    """A random model with the head that a task of this kind wants."""
    names = labels or tuple(own_rows.NAMES.get(kind, []))
    alone = {"num_labels": 1} if kind in ("regression", "reranking") else {}
    heads = foreign_models.OTHER_HEADS[architecture]
    head = {"head": heads[kind]} if kind in heads else {}
    problem = {"problem_type": PROBLEM[kind]} if kind in PROBLEM else {}
    found: Path = getattr(foreign_models, architecture)(folder, *names, **alone, **head, **problem)
    return found


def params_of(folder: Path, kind: str, *overrides: str) -> Params:
    """params.yaml of a task of this kind, in the working directory, with the folder as its teacher."""
    file = own_rows.write(Path("rows.jsonl"), kind, 60)
    return made_up.params(
        Path(), *own_rows.choices(kind, file), "model=own", f"teacher.location={folder}", *overrides
    )


def taken(params: Params) -> Path:
    for stage in (prepare, pretrained, teacher):
        stage.run(params)
    return Path("models/teacher")


@torch.no_grad()
def both(params: Params, source: Path) -> tuple[Any, Any]:
    """Logits of our teacher and of transformers' own model, on the selection split, padding left out."""
    kind, task, folder = kinds.of(params.task), params.task, paths.model_dir("teacher")
    rows = kind.encode(read_split(paths.data_dir("custom", "plain"), "selection"), task, folder)
    batch = rows.tokens.batch(range(len(rows.tokens.input_ids)))
    inputs = {name: torch.from_numpy(values) for name, values in batch.items()}
    auto: Any = AUTO.get(task.kind, transformers.AutoModelForSequenceClassification)
    model = auto.from_pretrained(source).eval()
    segments = {} if model.config.model_type == "distilbert" else {"token_type_ids": inputs["token_type_ids"]}
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    ours, theirs = checkpoint.load_bert(folder)(**inputs), model(**given, **segments)
    if task.kind == "question_answering":
        ours, theirs = ([one.start_logits, one.end_logits] for one in (ours, theirs))
        ours, theirs = torch.stack(ours, -1), torch.stack(theirs, -1)
    else:
        ours, theirs = ours.logits, theirs.logits
    real = given["attention_mask"] == 1 if kind.head.per_token else slice(None)
    return ours[real].numpy(), theirs[real].numpy()


@pytest.mark.parametrize("architecture", ["roberta", "distilbert"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_said_to_transformers_and_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, architecture: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = model_of(tmp_path / "mine", kind, architecture)
    params = params_of(source, kind)
    own = record.read(taken(params))
    ours, theirs = both(params, source)
    assert np.ptp(theirs, axis=0).max() > 1e-2
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)
    assert (own.steps, set(own.scores["selection"])) == (0, {*own_rows.METRICS[kind]})
    assert (own.settings.get("thresholds") is not None) == (kind == "multi_label")


def test_tags_in_another_order_are_put_into_the_task_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = model_of(tmp_path / "mine", "token_classification", "bert", *reversed(own_rows.TAGS))
    params = params_of(source, "token_classification")
    assert list(checkpoint.load_config(taken(params)).id2label.values()) == own_rows.TAGS
    ours, theirs = both(params, source)
    np.testing.assert_allclose(ours[:, ::-1], theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "other", "sentence"),
    [
        (
            "multi_label",
            "token_classification",
            "is a BertForTokenClassification; task.kind: multi_label needs",
        ),
        (
            "token_classification",
            "question_answering",
            "is a BertForQuestionAnswering; task.kind: token_class",
        ),
        ("question_answering", "reranking", "is a BertForSequenceClassification; task.kind: question_answer"),
        ("reranking", "multi_label", "1 outputs (reranking); the model in"),
        ("regression", "multi_label", "was trained for multi_label_classification; write multi_label"),
        ("multi_label", "regression", "was trained for regression; write regression"),
        ("reranking", "classification", "task.label_names: 1 outputs (reranking); the model in"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, other: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError) as error:
        params_of(model_of(tmp_path / "mine", other), kind)
    assert sentence in str(error.value)


def test_other_tags_are_refused_with_both_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tags = ["O", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
    with pytest.raises(ParamsError) as error:
        params_of(model_of(tmp_path / "mine", "token_classification", "bert", *tags), "token_classification")
    assert "task.label_names: [O, B-PER, I-PER, B-LOC, I-LOC]; the model in" in str(error.value)
    assert "has [O, B-ORG, I-ORG, B-LOC, I-LOC]; write its names" in str(error.value)
