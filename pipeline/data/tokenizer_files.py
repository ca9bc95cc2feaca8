"""The tokenizer of a person's model, taken into a folder of ours so that every path reads texts alike.

A BERT's WordPiece tokenizer is copied as it is. Any other becomes a tokenizer.json that says everything, with
settings that tell transformers to read that file and nothing else; where the model has one kind of segment or
its tokenizer tells it of none, tokenizer.json gives all tokens segment 0, as the model was trained.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from bitladder import files
from bitladder.text.tokens import SETTINGS, TOKENIZER, copy_tokenizer, padding_id, read_tokenizer

# What each special token is usually called, where no file says it.
_USUAL = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}
_SLOW = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)
_SPARE = 128  # rows of a word table that no token may have: tables are rounded up


class TokenizerError(ValueError):
    """A tokenizer that cannot be used with its model."""

    exit_code = 2


def take(source: Path, target: Path, *, segments: int, max_length: int) -> None:
    """Write the tokenizer of the model in `source` into `target`.

    Args:
        segments: kinds of segments that the model has.
        max_length: tokens that it can read.

    Raises:
        TokenizerError: there is no fast tokenizer, and none can be made.
    """
    settings = _settings(source)
    tokenizer = _opened(source) if (source / TOKENIZER).is_file() else _converted(source)
    told = settings.get("model_input_names")
    single = segments == 1 or (isinstance(told, list) and "token_type_ids" not in told)
    is_bert = str(settings.get("tokenizer_class") or "BertTokenizer").startswith("BertTokenizer")
    if is_bert and not single and (source / TOKENIZER).is_file() and is_word_piece(source):
        copy_tokenizer(source, target)
        return
    written = json.loads(tokenizer.to_str())
    if single:
        written["post_processor"] = _of_one_segment(written["post_processor"])
    written |= {"truncation": None, "padding": None}
    files.write_text(target / TOKENIZER, json.dumps(written, ensure_ascii=False, indent=1) + "\n")
    inputs = ["input_ids", *([] if single else ["token_type_ids"]), "attention_mask"]
    files.write_json(
        target / SETTINGS,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_length,
            "model_input_names": inputs,
            **special_tokens(source, tokenizer),
        },
    )


def special_tokens(source: Path, tokenizer: Tokenizer) -> dict[str, str]:
    """The name of each special token that the tokenizer has, by transformers' key."""
    said = {**_read(source / "special_tokens_map.json"), **_settings(source)}
    found = {}
    for key, usual in _USUAL.items():
        named = said.get(key)
        named = named.get("content") if isinstance(named, Mapping) else named
        known = [one for one in (named, *usual) if one and tokenizer.token_to_id(one) is not None]
        if known:
            found[key] = known[0]
    return found


def problems(folder: Path, *, vocab_size: int) -> Iterator[str]:
    """What in a taken tokenizer does not fit the model's word table, or is missing."""
    tokenizer = read_tokenizer(folder)
    known = tokenizer.get_vocab(with_added_tokens=True)
    highest = max(known.values(), default=-1)
    spare = vocab_size - highest - 1
    if spare < 0:
        yield (
            f"its tokenizer has ids up to {highest}, and its word table {vocab_size} rows; "
            "take the tokenizer that the model was trained with"
        )
    elif spare > max(_SPARE, vocab_size // 100):
        yield (
            f"its tokenizer has {highest + 1} tokens, and its word table {vocab_size} rows; "
            "take the tokenizer that the model was trained with"
        )
    try:
        padding_id(folder, tokenizer)
    except ValueError as error:
        yield str(error)
    names = special_tokens(folder, tokenizer)
    if first := tokenizer.encode("a").ids[:1]:
        begins = names.get("cls_token")
        if begins is None or tokenizer.token_to_id(begins) != first[0]:
            yield (
                f"its {TOKENIZER} does not begin a text with a special token ({begins or '[CLS], <s>'}), "
                "which the head reads; save the tokenizer with transformers, not with tokenizers alone"
            )


def is_word_piece(folder: Path) -> bool:
    """Whether its tokens are words and pieces of words, as augmentation needs them."""
    model: Any = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))["model"]
    return bool(model.get("type") == "WordPiece" or "max_input_chars_per_word" in model)


def _opened(source: Path) -> Tokenizer:
    try:
        return read_tokenizer(source)
    except ValueError as error:
        raise TokenizerError(str(error)) from None


def _converted(source: Path) -> Tokenizer:
    """A fast tokenizer made by transformers of an older one's files."""
    there = [name for name in _SLOW if (source / name).is_file()]
    remedy = "save a fast one beside the model: AutoTokenizer.from_pretrained(...).save_pretrained(DIR)"
    if not there:
        raise TokenizerError(f"{source} has no {TOKENIZER}, nor files to make one of; {remedy}")
    from transformers import AutoTokenizer

    try:
        made: Any = AutoTokenizer.from_pretrained(str(source), local_files_only=True)
        tokenizer = made.backend_tokenizer
    except Exception as error:  # dozens of kinds, by tokenizer
        why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise TokenizerError(
            f"{source} has no {TOKENIZER}, and none can be made of {', '.join(there)} ({why}); {remedy}"
        ) from None
    found: Tokenizer = tokenizer
    return found


def _of_one_segment(processor: Any) -> Any:
    """A tokenizer.json's post-processor with all tokens in segment 0."""
    if not isinstance(processor, dict):
        return processor
    if processor.get("type") == "BertProcessing":
        (sep, sep_id), (cls, cls_id) = processor["sep"], processor["cls"]
        tokens = {
            name: {"id": name, "ids": [number], "tokens": [name]}
            for name, number in ((sep, sep_id), (cls, cls_id))
        }
        single = [_special(cls), _sequence("A"), _special(sep)]
        return {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, _sequence("B"), _special(sep)],
            "special_tokens": tokens,
        }
    return {
        key: [_of_one_segment(one) for one in value]
        if key in ("processors", "single", "pair")
        else _of_one_segment(value)
        if key in ("SpecialToken", "Sequence")
        else 0
        if key == "type_id"
        else value
        for key, value in processor.items()
    }


def _special(token: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": token, "type_id": 0}}


def _sequence(name: str) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": 0}}


def _settings(folder: Path) -> dict[str, Any]:
    return _read(folder / SETTINGS)


def _read(path: Path) -> dict[str, Any]:
    found = files.read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}
