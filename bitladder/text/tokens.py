"""Text to token ids by a model folder's own tokenizer: neither torch nor transformers.

tokenizer.json says all of it, whatever kind of tokenizer it is (WordPiece, byte-level BPE, Unigram), but for
the padding, which tokenizer_config.json names.

Shapes: B sequences of a batch, S tokens of its longest (padding to the split's longest would waste most).
"""

import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

AT_ONCE = 4096  # rows that are tokenized together: what the tokenizer knows of each takes kilobytes
TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
TOKENIZER_FILES = (TOKENIZER, SETTINGS, "vocab.txt", "special_tokens_map.json")  # those there are
_USUAL_PADDING = ("[PAD]", "<pad>")  # where the settings name none
Whole = NDArray[np.int64]
_kept = threading.local()


def copy_tokenizer(source: Path, target: Path) -> None:
    """From one model's folder into another, byte by byte."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


@dataclass(frozen=True)
class Tokens:
    """Ids and segment ids per row (not padded); how many rows were cut; the padding's id."""

    input_ids: list[list[int]]
    token_type_ids: list[list[int]]
    num_truncated: int
    padding: int = 0

    def __len__(self) -> int:
        return len(self.input_ids)

    def batch(self, rows: Sequence[int]) -> dict[str, Whole]:
        """The rows as arrays [B, S], padded to the longest of them."""
        ids = [self.input_ids[row] for row in rows]
        return {
            "input_ids": padded(ids, self.padding),
            "token_type_ids": padded([self.token_type_ids[row] for row in rows]),
            "attention_mask": padded([[1] * len(row) for row in ids]),
        }

    def batches(self, batch_size: int) -> Iterator[dict[str, Whole]]:
        """All rows once, in order."""
        for start in range(0, len(self), batch_size):
            yield self.batch(range(start, min(start + batch_size, len(self))))


def tokenize(texts: list[str], pairs: list[str] | None, folder: Path, *, max_length: int) -> Tokens:
    """One text or a pair a row; a pair is cut from its longer text first.

    Args:
        pairs: the second texts; None where there are none.
        folder: holds tokenizer.json.
        max_length: tokens of a row at most, special ones included.
    """
    tokenizer = read_tokenizer(folder)
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    rows: list[Any] = texts if pairs is None else list(zip(texts, pairs, strict=True))
    ids, segments, num_truncated = list[list[int]](), list[list[int]](), 0
    for start in range(0, len(rows), AT_ONCE):
        for encoding in tokenizer.encode_batch(rows[start : start + AT_ONCE]):
            ids.append(encoding.ids)
            segments.append(encoding.type_ids)
            num_truncated += bool(encoding.overflowing)
    return Tokens(ids, segments, num_truncated, padding_id(folder, tokenizer))


def read_tokenizer(folder: Path) -> Tokenizer:
    """A model folder's tokenizer, which pads nothing by itself.

    Each thread keeps the one it read last, until the file changes: reading 30,000 words takes longer than
    computing a sentence. How it cuts is its caller's to set each time.

    Raises ValueError when tokenizer.json is not there or is none.
    """
    path = folder / TOKENIZER
    try:
        state = path.stat()
        key = (path.absolute(), state.st_ino, state.st_mtime_ns, state.st_size)
        if getattr(_kept, "key", None) != key:
            read = Tokenizer.from_file(str(path))
            read.encode("\U00012000")  # in cuneiform: fails where the token for the unknown is missing
            _kept.tokenizer, _kept.key = read, key
    except Exception as error:  # the library raises no class of its own
        raise ValueError(f"{path}: {error}; a tokenizer that tokenizers saved is right") from None
    tokenizer: Tokenizer = _kept.tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def padding_id(folder: Path, tokenizer: Tokenizer) -> int:
    """The id of the token that batches are filled with. Raises ValueError when there is none."""
    path = folder / SETTINGS
    named = _settings(path).get("pad_token") if path.is_file() else None
    named = named.get("content") if isinstance(named, dict) else named
    if not isinstance(named, str | None):
        raise ValueError(f"{path}: its pad_token {named!r:.40} is no text")
    for token in (named,) if named else _USUAL_PADDING:
        if (found := tokenizer.token_to_id(token)) is not None:
            return found
    what = f"its pad_token {named!r}" if named else f"none of {', '.join(_USUAL_PADDING)}"
    where = "is not in tokenizer.json" if named else "is in tokenizer.json"
    raise ValueError(f"{path}: {what} {where}; name the token that pads, in pad_token")


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: {found!r:.40} is no object with settings")
    return found


def padded(rows: Sequence[Sequence[int]], padding: int = 0) -> Whole:
    """[B, S], with `padding` behind those that are shorter than the longest."""
    found = np.full((len(rows), max(map(len, rows))), padding, np.int64)
    for own, row in zip(found, rows, strict=True):
        own[: len(row)] = row
    return found
