"""Small trained tokenizers of the kinds that people's models have, as transformers' folders hold them."""

from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.decoders import ByteLevel

from bitladder import files

TEXTS = [
    "The dog sees the cat in the garden.",
    "A bird follows the fish, and the river follows the lake.",
    "Who hears the dog? The teacher hears it not!",
    "Zwölf Boxkämpfer jagen Viktor über den großen Sylter Deich.",
]
_NAMES = {
    "bos": "<s>",
    "eos": "</s>",
    "cls": "<s>",
    "sep": "</s>",
    "pad": "<pad>",
    "unk": "<unk>",
    "mask": "<mask>",
}
ROBERTA = {f"{name}_token": token for name, token in _NAMES.items()}
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def byte_level(texts: list[str] = TEXTS, *, vocab_size: int = 320) -> Tokenizer:
    """As RoBERTa's: byte-level BPE; the padding's id is 1."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def unigram(texts: list[str] = TEXTS, *, vocab_size: int = 120) -> Tokenizer:
    """As XLM-RoBERTa's: Unigram of sentencepiece, spaces as parts of words; the padding's id is 1."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=_SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


def word_piece(texts: list[str] = TEXTS, *, vocab_size: int = 150) -> Tokenizer:
    """As BERT's and DistilBERT's."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer


def write(folder: Path, tokenizer: Tokenizer, *, kind: str, **settings: object) -> Path:
    """tokenizer.json and tokenizer_config.json, as transformers writes them for this class."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = ROBERTA if tokenizer.token_to_id("<s>") is not None else {}
    files.write_json(folder / "tokenizer_config.json", {"tokenizer_class": kind, **special, **settings})
    return folder
