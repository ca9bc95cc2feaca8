"""Which rows say the same thing: rows of one split twice, or rows of train that stand in validation too.

Two rows are the same when their sentences are, after Unicode's compatible forms, capitals and runs of spaces
are evened out. The label takes no part, so that the same text under two labels is found as well.
"""

import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b

import pandas as pd

from pipeline.data.tables import LABEL

# Cannot stand in a normalised sentence: it counts as a space there.
_BETWEEN = "\x1f"


def text_key(sentences: Iterable[str]) -> bytes:
    """16 bytes that are equal for rows with the same normalised sentences, in this order."""
    return blake2b(_BETWEEN.join(map(_normalise, sentences)).encode(), digest_size=16).digest()


def text_keys(frame: pd.DataFrame, sentence_columns: Sequence[str]) -> list[bytes]:
    """One key per row."""
    return [text_key(row) for row in zip(*(frame[name] for name in sentence_columns), strict=True)]


def count_duplicates(keys: Sequence[bytes]) -> int:
    """Rows that repeat an earlier one."""
    return len(keys) - len(set(keys))


def count_contradictions(frame: pd.DataFrame, keys: Sequence[bytes]) -> int:
    """Texts that stand in the split under more than one label."""
    labels: dict[bytes, set[Hashable]] = {}
    for key, label in zip(keys, frame[LABEL].tolist(), strict=True):
        labels.setdefault(key, set()).add(label)
    return sum(len(found) > 1 for found in labels.values())


def count_overlap(keys: Sequence[bytes], train_keys: Iterable[bytes]) -> int:
    """Rows whose text stands in train."""
    known = set(train_keys)
    return sum(key in known for key in keys)


def _normalise(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
