"""Small random fine-tuned models of other kinds, as transformers saves them, each with its own tokenizer."""

from pathlib import Path
from typing import Any

import made_tokenizers
import made_up
import torch
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)

TEXTS = [" ".join([*made_up.WORDS, *made_up.FUNCTION]), *made_tokenizers.TEXTS]
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}


def roberta(
    folder: Path, *labels: str, head: type = RobertaForSequenceClassification, **changed: Any
) -> Path:
    """With byte-level BPE; its padding is token 1."""
    tokenizer = made_tokenizers.byte_level(TEXTS)
    sizes = {**SIZES, "vocab_size": tokenizer.get_vocab_size(), "type_vocab_size": 1, "pad_token_id": 1}
    torch.manual_seed(3)
    model: Any = head(RobertaConfig(**{**sizes, **named(*labels), **changed}))
    model.save_pretrained(folder)
    return made_tokenizers.write(folder, tokenizer, kind="RobertaTokenizer")


def distilbert(
    folder: Path, *labels: str, head: type = DistilBertForSequenceClassification, **changed: Any
) -> Path:
    """With WordPiece, whose second texts are segment 1: the model knows no segments."""
    tokenizer = made_tokenizers.word_piece(TEXTS)
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 40}
    sizes["vocab_size"] = tokenizer.get_vocab_size()
    torch.manual_seed(3)
    config = DistilBertConfig(**{**sizes, "initializer_range": 0.3, **named(*labels), **changed})  # type: ignore[arg-type]
    model: Any = head(config)
    model.save_pretrained(folder)
    return made_tokenizers.write(folder, tokenizer, kind="DistilBertTokenizer")


def bert(folder: Path, *labels: str, head: type = BertForSequenceClassification, **changed: Any) -> Path:
    tokenizer = made_tokenizers.word_piece(TEXTS)
    torch.manual_seed(3)
    sizes = {**SIZES, "vocab_size": tokenizer.get_vocab_size()}
    model: Any = head(BertConfig(**{**sizes, **named(*labels), **changed}))
    model.save_pretrained(folder)
    return made_tokenizers.write(folder, tokenizer, kind="BertTokenizer")


def named(*labels: str) -> dict[str, Any]:
    if not labels:
        return {}
    return {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}


HEADLESS, ANSWERER = BertModel, BertForQuestionAnswering
# The head of each kind of task but for classification, regression, reranking and several labels at once.
OTHER_HEADS = {
    "roberta": {
        "token_classification": RobertaForTokenClassification,
        "question_answering": RobertaForQuestionAnswering,
    },
    "distilbert": {
        "token_classification": DistilBertForTokenClassification,
        "question_answering": DistilBertForQuestionAnswering,
    },
    "bert": {"token_classification": BertForTokenClassification, "question_answering": ANSWERER},
}
