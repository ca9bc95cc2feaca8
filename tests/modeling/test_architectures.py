"""Other encoders said as BERTs: the same logits; what no BERT can say is refused by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
)

from bitladder import files
from bitladder.modeling import architectures, checkpoint
from bitladder.modeling.architectures import ArchitectureError
from bitladder.modeling.bert import build_bert

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 20,
    "initializer_range": 0.3,  # wide enough for every layer to matter
    "num_labels": 3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
DISTILBERT: dict[str, Any] = {
    "vocab_size": 40,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 20,
    "initializer_range": 0.3,
    "num_labels": 3,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "seq_classif_dropout": 0.0,
}
ROBERTA = {**SIZES, "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5}
ELECTRA = {**SIZES, "embedding_size": 32}
BY_NAME: dict[str, tuple[type, type, type, dict[str, Any]]] = {
    "roberta": (RobertaForSequenceClassification, RobertaForQuestionAnswering, RobertaConfig, ROBERTA),
    "roberta, padding 3": (
        RobertaForSequenceClassification,
        RobertaForQuestionAnswering,
        RobertaConfig,
        {**ROBERTA, "pad_token_id": 3, "max_position_embeddings": 22},
    ),
    "xlm-roberta": (
        XLMRobertaForSequenceClassification,
        XLMRobertaForQuestionAnswering,
        XLMRobertaConfig,
        ROBERTA,
    ),
    "distilbert": (
        DistilBertForSequenceClassification,
        DistilBertForQuestionAnswering,
        DistilBertConfig,
        DISTILBERT,
    ),
    "distilbert, sinusoidal": (
        DistilBertForSequenceClassification,
        DistilBertForQuestionAnswering,
        DistilBertConfig,
        {**DISTILBERT, "sinusoidal_pos_embds": True},
    ),
    "electra": (ElectraForSequenceClassification, ElectraForQuestionAnswering, ElectraConfig, ELECTRA),
}


def made(folder: Path, name: str, *, questions: bool = False) -> Any:
    """A random model, saved by transformers, in eval mode."""
    classifier, answerer, config, sizes = BY_NAME[name]
    torch.manual_seed(1)
    labels = {"num_labels": 2} if questions else {}
    model: Any = (answerer if questions else classifier)(config(**{**sizes, **labels}))
    with torch.no_grad():
        for parameter in model.parameters():  # biases and LayerNorms are not at rest in a trained model
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    model.eval()
    return model


def batch(padding: int) -> dict[str, Tensor]:
    """Two sequences, the second one shorter; no token in them is the padding."""
    mask = torch.ones(2, 9, dtype=torch.int64)
    mask[1, 6:] = 0
    ids = torch.randint(5, 40, (2, 9)).where(mask == 1, padding)
    return {"input_ids": ids, "attention_mask": mask}


def as_bert(folder: Path) -> Any:
    config, state = checkpoint.load_as_bert(folder)
    model = build_bert(config)
    checkpoint.load_strictly(model, state, source=str(folder))
    model.eval()
    return model


@pytest.mark.parametrize("name", BY_NAME)
def test_a_classifier_has_the_same_logits_as_a_bert(tmp_path: Path, name: str) -> None:
    theirs = made(tmp_path, name)
    inputs = batch(theirs.config.pad_token_id)
    with torch.no_grad():
        expected, found = theirs(**inputs).logits, as_bert(tmp_path)(**inputs).logits
    assert expected.std() > 0.1
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", BY_NAME)
def test_so_has_a_model_that_answers_questions(tmp_path: Path, name: str) -> None:
    theirs = made(tmp_path, name, questions=True)
    inputs = batch(theirs.config.pad_token_id)
    with torch.no_grad():
        expected, found = theirs(**inputs), as_bert(tmp_path)(**inputs)
    is_token = inputs["attention_mask"] == 1
    for part in ("start_logits", "end_logits"):
        assert torch.allclose(found[part][is_token], expected[part][is_token], atol=1e-5)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_head_is_read_off_the_header_too(tmp_path: Path, name: str) -> None:
    """`bert_shapes` says of a header what `bert_state` makes of the tensors."""
    made(tmp_path, name)
    values = files.read_json(tmp_path / "config.json")
    state = load_file(tmp_path / "model.safetensors")
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    wanted = {key: tuple(tensor.shape) for key, tensor in architectures.bert_state(state, values).items()}
    assert architectures.bert_shapes(shapes, values) == wanted


def test_a_bert_is_left_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = BertForSequenceClassification(BertConfig(**SIZES))
    model.save_pretrained(tmp_path)
    assert architectures.bert_config(values := model.config.to_dict()) == values
    found = as_bert(tmp_path).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


def test_what_an_old_file_has_beside_a_head_is_left_out() -> None:
    values = {"model_type": "roberta", "pad_token_id": 1}
    names = ("roberta.pooler.dense.weight", "classifier.dense.weight", "roberta.embeddings.position_ids")
    found = architectures.bert_state(
        {name: torch.full((1,), float(i)) for i, name in enumerate(names)}, values
    )
    assert found == {"bert.pooler.dense.weight": torch.ones(1)}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"model_type": "albert"}, "model_type 'albert' cannot be taken: it would need layers that share"),
        ({"model_type": "unheard-of"}, "model_type 'unheard-of' cannot be taken: no entry in"),
        ({}, "model_type None cannot be taken"),
        (
            {"model_type": "electra", "embedding_size": 128, "hidden_size": 256},
            "embedding_size 128 with hidden_size 256 cannot be taken: it would need a projection",
        ),
        (
            {"model_type": "bert", "position_embedding_type": "relative_key"},
            "position_embedding_type 'relative_key' cannot be taken",
        ),
    ],
)
def test_what_no_bert_can_say_is_refused_by_name(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArchitectureError, match=sentence):
        architectures.bert_config(values)
