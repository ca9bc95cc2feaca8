"""A tiny trained rung (2 layers of 32, random weights, calibrated activations) and its packed folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig

from pipeline import files
from pipeline.initialization.step_sizes import calibrate
from pipeline.modeling import checkpoint
from pipeline.modeling.bert import build_classifier
from pipeline.packing.writing import pack
from pipeline.quantizers.choose import Precision

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["the", "a", "dog", "cat", "bird", "sees", "likes", "sleeps", "big", "small", ".", "##s"],
]
SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 45,
    "max_position_embeddings": 17,
}
Rung = Callable[..., Path]


@pytest.fixture
def trained(tmp_path: Path) -> Rung:
    """Make a trained rung's folder: `trained(Precision(...), name=..., seed=..., **sizes)`."""

    def make(precision: Precision, *, name: str = "trained", seed: int = 0, **sizes: int) -> Path:
        torch.manual_seed(seed)
        config = BertConfig(
            **{**SIZES, **sizes}, id2label={0: "wrong", 1: "right"}, label2id={"wrong": 0, "right": 1}
        )
        model = build_classifier(config, precision)
        calibrate(model, batch(config.vocab_size))
        checkpoint.round_side_parameters(model)
        write_tokenizer(tmp_path / "tokenizer")
        with files.publish(tmp_path / name) as folder:
            checkpoint.save(folder, model, model.config, tokenizer_from=tmp_path / "tokenizer")
        return tmp_path / name

    return make


@pytest.fixture
def packed(trained: Rung, tmp_path: Path) -> Path:
    """A published packed folder, W1A8."""
    with files.publish(tmp_path / "packed") as folder:
        pack(trained(Precision(1, 1, 8)), folder)
    return tmp_path / "packed"


def batch(vocab_size: int = 99, *, rows: int = 5, length: int = 11) -> dict[str, Tensor]:
    """Sequences of different lengths, padded."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.linspace(3, length, rows).long().unsqueeze(1)
    mask = (torch.arange(length) < lengths).long()
    ids = torch.randint(5, vocab_size, (rows, length), generator=generator) * mask
    return {"input_ids": ids, "token_type_ids": (ids % 2) * mask, "attention_mask": mask}


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer as BERT's, of a few words."""
    folder.mkdir(exist_ok=True)
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    files.write_text(folder / "vocab.txt", "\n".join(WORDS) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 17}
    files.write_json(folder / "tokenizer_config.json", settings)
