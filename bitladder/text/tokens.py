"""Text to token ids by a model folder's own tokenizer, tokenizer.json alone: neither torch nor transformers.

Shapes: B sequences of a batch, S tokens of its longest (padding to the split's longest would waste most).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

AT_ONCE = 4096  # rows that are tokenized together: what the tokenizer knows of each takes kilobytes
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Tokens:
    """Ids and segment ids per row (not padded); how many rows were cut."""

    input_ids: list[list[int]]
    token_type_ids: list[list[int]]
    num_truncated: int

    def __len__(self) -> int:
        return len(self.input_ids)

    def batch(self, rows: Sequence[int]) -> dict[str, Whole]:
        """The rows as arrays [B, S], padded with zeros to the longest of them."""
        ids = [self.input_ids[row] for row in rows]
        return {
            "input_ids": padded(ids),
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
    return Tokens(ids, segments, num_truncated)


def read_tokenizer(folder: Path) -> Tokenizer:
    """A model folder's tokenizer, which pads nothing by itself.

    Raises ValueError when tokenizer.json is not there or is none, and when it pads with another id than 0:
    masks and padding rely on it.
    """
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no class of its own
        raise ValueError(f"{path}: {error}; a tokenizer that tokenizers saved is right") from None
    if tokenizer.id_to_token(0) != "[PAD]":
        raise ValueError(f"{folder}: token 0 is {tokenizer.id_to_token(0)!r}; a BERT tokenizer has [PAD]")
    tokenizer.no_padding()
    return tokenizer


def padded(rows: Sequence[Sequence[int]]) -> Whole:
    """[B, S], with zeros behind those that are shorter than the longest."""
    found = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for own, row in zip(found, rows, strict=True):
        own[: len(row)] = row
    return found
