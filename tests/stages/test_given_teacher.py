"""A model that somebody else has fine-tuned is taken as it is; one that does not fit is refused at once."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_models
import made_up
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.text.tokens import tokenize
from pipeline import record
from pipeline.params import Params
from pipeline.params_file import ParamsError
from pipeline.problems import model_folder
from pipeline.problems.model_folder import ModelFolderError, label_order
from pipeline.stages import prepare, pretrained, teacher

LABELS = ("unacceptable", "acceptable")
TEXTS = ["The teacher opened the window.", "slowly doctors followed", "A lake, not of the garden"]
Given = Callable[..., Params]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """params.yaml of a task with the folder as its teacher; the project is the current folder."""
    monkeypatch.chdir(tmp_path)
    made_up.glue(tmp_path / "rows", "cola")
    made_up.glue(tmp_path / "rows", "mrpc")

    def params(folder: Path, *overrides: str, task: str = "cola") -> Params:
        source = ("data.source=path", f"data.root={tmp_path / 'rows'}", "task.selection_fraction=0.2")
        own = ("model=own", f"teacher.location={folder}", "task.max_length=32")
        return made_up.params(tmp_path, f"task={task}", *own, *source, *overrides)

    return params


def taken(params: Params) -> Path:
    for stage in (prepare, pretrained, teacher):
        stage.run(params)
    return Path("models/teacher")


@torch.no_grad()
def theirs(folder: Path, *texts: list[str]) -> Any:
    """Logits of transformers' own model and tokenizer."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(*texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    return model.eval()(**encoded).logits.numpy()


@torch.no_grad()
def ours(folder: Path, texts: list[str], pairs: list[str] | None = None) -> Any:
    batch = tokenize(texts, pairs, folder, max_length=32).batch(range(len(texts)))
    inputs = {name: torch.from_numpy(values) for name, values in batch.items()}
    return checkpoint.load_bert(folder)(**inputs).logits.numpy()


@pytest.mark.parametrize("kind", ["roberta", "distilbert"])
def test_it_says_what_it_said_to_transformers(tmp_path: Path, given: Given, kind: str) -> None:
    source = getattr(foreign_models, kind)(tmp_path / "mine", *LABELS)
    folder = taken(given(source))
    expected = theirs(source, TEXTS)
    assert np.abs(expected[0] - expected[1]).max() > 1e-2
    np.testing.assert_allclose(ours(folder, TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["roberta", "distilbert"])
def test_so_it_does_of_pairs_though_it_knows_no_segments(tmp_path: Path, given: Given, kind: str) -> None:
    source = getattr(foreign_models, kind)(tmp_path / "mine")
    folder = taken(given(source, task="mrpc"))
    np.testing.assert_allclose(
        ours(folder, TEXTS, TEXTS[::-1]), theirs(source, TEXTS, TEXTS[::-1]), atol=1e-5
    )


def test_labels_are_mapped_by_name(tmp_path: Path, given: Given) -> None:
    source = foreign_models.bert(tmp_path / "mine", "Acceptable", "Unacceptable")
    folder = taken(given(source))
    assert checkpoint.load_config(folder).id2label == {0: "unacceptable", 1: "acceptable"}
    np.testing.assert_allclose(ours(folder, TEXTS)[:, ::-1], theirs(source, TEXTS), atol=1e-5)


def test_it_is_scored_and_not_trained_and_its_record_says_so(tmp_path: Path, given: Given) -> None:
    source = foreign_models.roberta(tmp_path / "mine", *LABELS)
    own = record.read(taken(given(source)))
    assert (own.steps, own.parent, own.settings["given"]) == (0, "pretrained", "path")
    assert own.scores.keys() == {"selection"}
    assert own.data == {"selection": files.sha256(Path("data/cola/plain/selection.parquet"))}


def test_where_it_came_from_is_told_by_content_and_by_no_path(tmp_path: Path, given: Given) -> None:
    source = foreign_models.roberta(tmp_path / "mine", *LABELS)
    folder = taken(given(source))
    own = record.read(Path("models/pretrained"))
    assert own.settings["files"]["model.safetensors"] == files.sha256(source / "model.safetensors")
    assert own.settings["source"] == "the encoder of a given teacher (path)"
    assert own.init[0].through == "said as a BERT of roberta"
    written = [path.read_bytes() for path in (*Path("models/pretrained").iterdir(), *folder.iterdir())]
    assert not [found for found in written if str(tmp_path).encode() in found]


def test_transformers_reads_the_taken_tokenizer_as_ours_does(tmp_path: Path, given: Given) -> None:
    folder = taken(given(foreign_models.roberta(tmp_path / "mine", *LABELS)))
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    found = tokenizer(TEXTS, TEXTS[::-1])
    own = tokenize(TEXTS, TEXTS[::-1], folder, max_length=32)
    assert found["input_ids"] == own.input_ids
    assert "token_type_ids" not in found
    assert {segment for row in own.token_type_ids for segment in row} == {0}
    assert (tokenizer.pad_token_id, own.padding) == (1, 1)


# what does not fit


def refusal(given: Given, folder: Path, *overrides: str, task: str = "cola") -> str:
    """What params.yaml is refused for, before any stage runs."""
    with pytest.raises(ParamsError) as error:
        given(folder, *overrides, task=task)
    return str(error.value)


def test_other_labels_are_refused_with_both(tmp_path: Path, given: Given) -> None:
    found = refusal(given, foreign_models.bert(tmp_path / "mine", "spam", "ham"))
    assert "task.label_names: [unacceptable, acceptable]; the model in" in found
    assert "has [spam, ham]; write its names" in found


def test_another_number_of_labels_is_refused(tmp_path: Path, given: Given) -> None:
    found = refusal(given, foreign_models.bert(tmp_path / "mine", "a", "b", "c"))
    assert "task.label_names: 2 outputs (unacceptable, acceptable); the model in" in found
    assert "has 3: a, b, c" in found


def test_a_missing_head_and_another_one_are_refused(tmp_path: Path, given: Given) -> None:
    bare = foreign_models.bert(tmp_path / "bare", head=foreign_models.HEADLESS)
    assert "is a BertModel, which has no head for task.kind: classification" in refusal(given, bare)
    answers = foreign_models.bert(tmp_path / "qa", head=foreign_models.ANSWERER)
    assert (
        "is a BertForQuestionAnswering; task.kind: classification needs a BertForSequenceClassification"
    ) in refusal(given, answers)


def test_several_labels_at_once_are_no_classification(tmp_path: Path, given: Given) -> None:
    folder = foreign_models.bert(tmp_path / "mine", *LABELS, problem_type="multi_label_classification")
    assert "was trained for multi_label_classification; write multi_label" in refusal(given, folder)


def test_too_few_positions_are_refused(tmp_path: Path, given: Given) -> None:
    folder = foreign_models.roberta(tmp_path / "mine", *LABELS)
    found = refusal(given, folder, "task.max_length=39")
    assert "task.max_length: 39 tokens; the model in" in found
    assert "has room for 38" in found  # of 40 rows a RoBERTa's first two are nobody's


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"vocab_size": 999},
            r"word_embeddings.weight is \[\d+, 32\]; by config.json it would be \[999, 32\]",
        ),
        (
            {"type_vocab_size": 1},
            r"token_type_embeddings.weight is \[2, 32\]; by config.json it would be \[1, 32\]",
        ),
        ({"num_hidden_layers": 3}, r"model.safetensors lacks bert.encoder.layer.2\..* and 13 more"),
        (
            {"num_hidden_layers": 1},
            r"model.safetensors has bert.encoder.layer.1\..*of which config.json does not",
        ),
        ({"model_type": "albert"}, "model_type 'albert' cannot be taken: it would need layers that share"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(
    tmp_path: Path, given: Given, changes: dict[str, Any], said: str
) -> None:
    import re

    folder = foreign_models.bert(tmp_path / "mine", *LABELS)
    files.write_json(folder / "config.json", files.read_json(folder / "config.json") | changes)
    assert re.search(said, refusal(given, folder)), refusal(given, folder)


def test_a_head_without_its_tensors_is_refused(tmp_path: Path, given: Given) -> None:
    folder = foreign_models.roberta(tmp_path / "mine", *LABELS)
    state = load_file(folder / "model.safetensors")
    kept = {name: tensor.clone() for name, tensor in state.items() if not name.startswith("classifier.")}
    save_file(kept, folder / "model.safetensors")
    assert "lacks bert.pooler.dense.weight, bert.pooler.dense.bias, classifier.weight" in refusal(
        given, folder
    )


def test_a_weight_that_is_no_number_is_refused_by_its_tensor(tmp_path: Path, given: Given) -> None:
    folder = foreign_models.roberta(tmp_path / "mine", *LABELS)
    state = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    state["classifier.out_proj.bias"][0] = float("nan")
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ModelFolderError, match=r"teacher\.location: its classifier\.bias holds NaN"):
        taken(given(folder))


def test_the_tokenizer_of_another_model_is_refused_before_training(tmp_path: Path, given: Given) -> None:
    folder = foreign_models.bert(tmp_path / "mine", *LABELS)
    shutil.copyfile(foreign_models.roberta(tmp_path / "other") / "tokenizer.json", folder / "tokenizer.json")
    params = given(folder)
    prepare.run(params)
    with pytest.raises(
        ModelFolderError, match=r"teacher.location: .*its tokenizer has ids up to 319, and its word"
    ):
        pretrained.run(params)
    assert not Path("models/pretrained").exists()


def test_a_tokenizer_that_puts_nothing_before_a_text_is_refused(tmp_path: Path, given: Given) -> None:
    folder = foreign_models.bert(tmp_path / "mine", *LABELS)
    written = json.loads((folder / "tokenizer.json").read_text())
    files.write_json(folder / "tokenizer.json", written | {"post_processor": None})
    with pytest.raises(ModelFolderError, match="does not begin a text with a special token"):
        pretrained.run(given(folder))


def test_without_a_tokenizer_that_can_be_read_it_says_how_to_save_one(tmp_path: Path, given: Given) -> None:
    folder = foreign_models.bert(tmp_path / "mine", *LABELS)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFolderError, match=r"has no tokenizer\.json, .*save a fast one beside the model"):
        pretrained.run(given(folder))


def test_an_older_tokenizer_is_made_a_fast_one(tmp_path: Path, given: Given) -> None:
    folder = foreign_models.bert(tmp_path / "mine", *LABELS)
    tokenizer = tokenize.__globals__["read_tokenizer"](folder)
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words), encoding="utf-8")
    expected = tokenize(TEXTS, None, folder, max_length=32).input_ids
    (folder / "tokenizer.json").unlink()
    pretrained.run(given(folder))
    assert tokenize(TEXTS, None, Path("models/pretrained"), max_length=32).input_ids == expected


# which folder


def checkpoints(root: Path) -> Path:
    for number in (500, 1000, 1500):
        made_up.bert(root / f"checkpoint-{number}")
    return root


def test_a_folder_of_checkpoints_is_refused_with_the_list(tmp_path: Path, given: Given) -> None:
    said = "holds 3 models, checkpoint-500, checkpoint-1000, checkpoint-1500; name one of them"
    root = checkpoints(tmp_path / "runs")
    assert said in refusal(given, root)
    with pytest.raises(ModelFolderError, match=f"model.location: .* {said}"):
        model_folder.find(root, field="model.location")


def test_a_finished_training_is_taken_though_its_checkpoints_lie_in_it(tmp_path: Path) -> None:
    root = checkpoints(tmp_path / "runs")
    for path in (root / "checkpoint-500").iterdir():
        shutil.copyfile(path, root / path.name)
    assert model_folder.find(root, field="model.location") == root


def test_weights_in_another_form_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(
        ModelFolderError, match=r"has no model\.safetensors; pytorch_model\.bin is there; save"
    ):
        model_folder.find(tmp_path, field="teacher.location")


@pytest.mark.parametrize(
    ("given_names", "wanted", "order"),
    [
        (["a", "b"], ["a", "b"], [0, 1]),
        (["B", "a "], ["a", "b"], [1, 0]),
        (["LABEL_0", "LABEL_1"], ["a", "b"], [0, 1]),
        (["a", "b"], ["a", "c"], None),
        (["a", "A"], ["A", "a"], None),
        (["a"], ["a", "b"], None),
        (["a", "A"], ["a", "A"], [0, 1]),
    ],
)
def test_outputs_are_found_by_name(
    given_names: list[str], wanted: list[str], order: list[int] | None
) -> None:
    assert label_order(given_names, wanted) == order
