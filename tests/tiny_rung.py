"""A tiny quantized BERT (2 layers of 32, random weights, calibrated activations), saved as training saves a
rung."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import build_bert
from bitladder.quantizers.precision import Precision
from pipeline.initialization.step_sizes import calibrate

NOUNS = ["dog", "cat", "bird", "fish"]
VERBS = ["sees", "likes", "follows", "hears"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", ".", "##s", *NOUNS, *VERBS]
LABELS = {0: "wrong", 1: "right"}
SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 45,  # odd, so that rows of codes need padding
    "max_position_embeddings": 17,
}


def save_rung(
    folder: Path, precision: Precision | None, *, seed: int = 0, num_labels: int = 2, **sizes: int
) -> None:
    """Fill an existing folder with config, weights and tokenizer; without a precision, as a teacher."""
    torch.manual_seed(seed)
    labels = LABELS if num_labels == 2 else {number: f"LABEL_{number}" for number in range(num_labels)}
    config = BertConfig(
        **{**SIZES, **sizes}, id2label=labels, label2id={name: i for i, name in labels.items()}
    )
    config.problem_type = "regression" if num_labels == 1 else "single_label_classification"
    model = build_bert(config, precision)
    if precision is not None:
        calibrate(model, batch(config.vocab_size))
        checkpoint.round_side_parameters(model)
    write_tokenizer(folder)
    checkpoint.save(folder, model, model.config, tokenizer_from=folder.parent)


def batch(vocab_size: int = 99, *, rows: int = 5, length: int = 11) -> dict[str, Tensor]:
    """Sequences of different lengths, padded."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.linspace(3, length, rows).long().unsqueeze(1)
    mask = (torch.arange(length) < lengths).long()
    ids = torch.randint(5, vocab_size, (rows, length), generator=generator) * mask
    return {"input_ids": ids, "token_type_ids": (ids % 2) * mask, "attention_mask": mask}


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer as BERT's, of a few words."""
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
