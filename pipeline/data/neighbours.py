"""Nearest words in a BERT's own embedding table, in the shape of nlpaug's `WordEmbeddings`.

nlpaug's readers want gensim and a file of several hundred MB; its `WordEmbsAug` only asks `get_vocab()`
for membership and `predict(word)` for a list. Neighbours (cosine) are computed once, for words that occur.

Shapes: W content words of one ending, A of them asked for, K neighbours, H hidden size.
"""

from collections.abc import Container, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.data.tokenizer_files import is_word_piece
from pipeline.data.words import ENDINGS, ending, is_content_word, match_case, split_edges

# As many as TinyBERT draws from (arXiv:1909.10351, algorithm 1).
NUM_NEIGHBOURS = 15
_BLOCK = 256
_SPACE, _SPACE_AS_BYTE = "▁", "Ġ"  # how Unigram and byte-level BPE write the space before a word


class Neighbours:
    """Nearest content words, with the same ending, of the words in `texts` that the vocabulary has whole.

    Args:
        words: vocabulary; pieces of words, punctuation and function words are left out.
        vectors: [len(words), H], their rows of the embedding table.
        texts: where the words to vary come from.
    """

    def __init__(self, words: Sequence[str], vectors: npt.NDArray[np.float32], texts: Iterable[str]) -> None:
        known = {word: row for row, word in enumerate(words) if is_content_word(word)}
        asked = {_spelling(token, known) for text in texts for token in text.split()} - {""}
        self._nearest: dict[str, list[str]] = {}
        for suffix in ENDINGS:
            some = [word for word in known if ending(word) == suffix]
            wanted = [position for position, word in enumerate(some) if word in asked]
            nearest_AK = _nearest(vectors[[known[word] for word in some]], wanted)
            for position, row in zip(wanted, nearest_AK.tolist(), strict=True):
                self._nearest[some[position]] = [some[other] for other in row]

    def get_vocab(self) -> "Neighbours":
        return self

    def __contains__(self, token: object) -> bool:
        return bool(self._nearest.get(_spelling(str(token), self._nearest)))

    def predict(self, token: str, n: int = 1) -> list[str]:
        """The token with each neighbour in its word's place, nearest first; capitals and punctuation kept."""
        before, word, after = split_edges(token)
        nearest = self._nearest[_spelling(token, self._nearest)]
        return [f"{before}{match_case(other, word)}{after}" for other in nearest]


def read_embeddings(folder: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Vocabulary and word embedding table of a BERT folder, row for row.

    Raises:
        ValueError: model.safetensors has no word embeddings.
    """
    from safetensors import safe_open
    from transformers import AutoTokenizer

    vocabulary = AutoTokenizer.from_pretrained(folder, local_files_only=True).get_vocab()
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        names = [name for name in weights.keys() if name.endswith("embeddings.word_embeddings.weight")]  # noqa: SIM118
        if not names:
            raise ValueError(f"{folder}: no tensor ends in embeddings.word_embeddings.weight")
        table = weights.get_tensor(names[0]).float().numpy()
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    words = tokens if is_word_piece(folder) else [_word_of(token) for token in tokens]
    return words, table[[vocabulary[token] for token in tokens]]


def _word_of(token: str) -> str:
    """A token of byte-level BPE or Unigram, as WordPiece writes it: a whole word begins with a space."""
    is_bytes = token.startswith(_SPACE_AS_BYTE)  # where letters beyond ASCII are bytes that spell nothing
    if token.startswith(_SPACE) or (is_bytes and token[1:].isascii()):
        return token[1:]
    return f"##{token}"


def has_masked_lm_head(folder: Path) -> bool:
    """Whether model.safetensors names tensors of the masked-LM head; only its header is read."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="numpy") as weights:
        return any(name.startswith("cls.predictions.") for name in weights.keys())  # noqa: SIM118


def _spelling(token: str, known: Container[str]) -> str:
    """The token's word as `known` has it, as it stands or in small letters, or "" when it has not."""
    word = split_edges(token)[1]
    return next((form for form in (word, word.lower()) if form in known), "")


def _nearest(vectors_WH: npt.NDArray[np.float32], asked: Sequence[int]) -> npt.NDArray[np.int64]:
    """Row numbers of the nearest others of each row asked for, nearest first, [A, K]."""
    num = max(min(NUM_NEIGHBOURS, len(vectors_WH) - 1), 0)
    lengths_W1 = np.linalg.norm(vectors_WH, axis=1, keepdims=True)
    directions_WH = vectors_WH / np.maximum(lengths_W1, np.finfo(np.float32).tiny)
    blocks = [np.empty((0, num), np.int64)]
    for start in range(0, len(asked), _BLOCK):
        rows = asked[start : start + _BLOCK]
        distance_AW = -directions_WH[rows] @ directions_WH.T
        distance_AW[np.arange(len(rows)), rows] = np.inf
        nearest_AK = np.argpartition(distance_AW, max(num - 1, 0), axis=1)[:, :num]
        order_AK = np.argsort(np.take_along_axis(distance_AW, nearest_AK, axis=1), axis=1, kind="stable")
        blocks.append(np.take_along_axis(nearest_AK, order_AK, axis=1))
    return np.concatenate(blocks)
