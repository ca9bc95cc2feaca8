"""The words of a text by their characters, and which token is the first of each.

Labels of words stand on the first token of each (Devlin et al., arXiv:1810.04805, section 5.3). Words are
found by characters and not by a tokenizer, so that they are the same whatever tokenizer a model has.

Shapes: N texts, S tokens of a text (they differ), W words of a text (they differ).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitladder.text.tokens import AT_ONCE, Tokens, padding_id, read_tokenizer

Places = list[tuple[int, int]]
NOWHERE = -1
# What touches no space, without the punctuation at its ends, of which each mark is a word of its own.
# Marks that are written over the letter before belong to it.
_WORD = re.compile(r"\w(?:\S*\w)?[\u0300-\u036f]*|\S")


@dataclass(frozen=True)
class Words:
    """Attributes:
    tokens: of N texts; counted as truncated are texts.
    first_tokens: by text, [W]: the first token of each word; -1 where none was read of it.
    """

    tokens: Tokens
    first_tokens: list[list[int]]


def split_words(text: str, edges: Iterable[int] = ()) -> Places:
    """The words of a text, from and to which character, in order; at `edges` words end whatever is there."""
    places = [match.span() for match in _WORD.finditer(text)]
    for edge in edges:
        places = [part for place in places for part in _cut(place, edge)]
    return places


def join_words(words: Sequence[str]) -> tuple[str, Places]:
    """Words that are given one by one as a text, and where they stand in it."""
    places, at = list[tuple[int, int]](), 0
    for word in words:
        places.append((at, at + len(word)))
        at += len(word) + 1
    return " ".join(words), places


def tokenize_words(texts: list[str], places: list[Places], folder: Path, *, max_length: int) -> Words:
    """Tokenize texts and find the first token of each word.

    Args:
        places: by text, its words.
        folder: holds tokenizer.json.
        max_length: tokens of a text at most, special ones included.
    """
    tokenizer = read_tokenizer(folder)
    tokenizer.enable_truncation(max_length)
    ids, segments, first_tokens, num_truncated = list[list[int]](), list[list[int]](), list[list[int]](), 0
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        for number, encoding in enumerate(tokenizer.encode_batch(some), start):
            ids.append(encoding.ids)
            segments.append(encoding.type_ids)
            num_truncated += bool(encoding.overflowing)
            covered = [
                None if special else offsets
                for special, offsets in zip(encoding.special_tokens_mask, encoding.offsets, strict=True)
            ]
            first_tokens.append(_first_tokens(texts[number], places[number], covered))
    tokens = Tokens(ids, segments, num_truncated, padding_id(folder, tokenizer))
    return Words(tokens, first_tokens)


def _first_tokens(text: str, places: Places, covered: Sequence[tuple[int, int] | None]) -> list[int]:
    """Of each word the first token that begins in it; some tokenizers count the space before to a token."""
    begins = [NOWHERE if one is None else _after_spaces(text, *one) for one in covered]
    found, token = list[int](), 0
    for start, end in places:
        while token < len(begins) and begins[token] < start:
            token += 1
        found.append(token if token < len(begins) and begins[token] < end else NOWHERE)
    return found


def _after_spaces(text: str, start: int, end: int) -> int:
    """Where a token's own characters begin; NOWHERE when it has none."""
    own = text[start:end].lstrip()
    return end - len(own) if own else NOWHERE


def _cut(place: tuple[int, int], edge: int) -> Places:
    start, end = place
    return [(start, edge), (edge, end)] if start < edge < end else [place]
