"""How long a person's texts are in a model's tokens: what is cut, and how much a training batch holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bitladder.text.tokens import tokenize

MULTIPLE = 8
_UNCUT = 10**6
LONGEST = 128  # tokens, unless a person asks for more


@dataclass(frozen=True)
class Lengths:
    """Attributes:
    tokens: of each row, special ones included.
    most: that a model reads; longer texts are cut.
    """

    tokens: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    most: int

    @property
    def num_cut(self) -> int:
        return int((self.tokens > self.most).sum())

    def padded(self, batch_size: int, batches: int) -> int:
        """Tokens of a row of an average batch: rows of like length meet in windows of so many batches."""
        kept = np.minimum(np.random.default_rng(0).permutation(self.tokens), self.most)
        window, longest = batch_size * batches, list[int]()
        for start in range(0, len(kept), window):
            rows = np.sort(kept[start : start + window])
            longest += [int(rows[at : at + batch_size].max()) for at in range(0, len(rows), batch_size)]
        return max(MULTIPLE, round(sum(longest) / len(longest)))


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)


def measure(frames: Sequence[pd.DataFrame], columns: Sequence[str], folder: Path, *, at_most: int) -> Lengths:
    """Tokenize every row, with the tokenizer in `folder`. `at_most`: tokens that a model may read."""
    tokens = list[int]()
    for frame in frames:
        texts = [[_text(one) for one in frame[name]] for name in columns]
        found = tokenize(texts[0], texts[1] if len(texts) > 1 else None, folder, max_length=_UNCUT)
        tokens += map(len, found.input_ids)
    return Lengths(np.array(tokens), min(at_most, -(-max(tokens) // MULTIPLE) * MULTIPLE))
