"""Questions and their contexts cut into windows that a BERT can read.

A context that does not fit is read in several windows, each with the whole question and the next piece of
the context; neighbours share `doc_stride` tokens, so that most answers stand whole in one of them (counted
as transformers counts it; in BERT's first script `doc_stride` is the step from one window to the next).

Neither torch nor transformers: a packed model answers without them. Labels to train on: windows.py.

Shapes: N windows, S tokens of a window (they differ).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordPiece

from bitladder.text.tokens import Tokens, padding_id, read_tokenizer

Offsets = npt.NDArray[np.int32]
OUTSIDE = -1
_CHUNK = 1000  # questions tokenized at once: what the tokenizer returns is large


@dataclass(frozen=True)
class Pieces:
    """Attributes:
    tokens: the windows. Counted as truncated are questions.
    question_of: the number of each window's question.
    offsets: by window, [S, 2]: the context's characters that a token covers, from and to; -1 elsewhere.
    contexts: by question.
    """

    tokens: Tokens
    question_of: list[int]
    offsets: list[Offsets]
    contexts: list[str]


def cut(
    questions: list[str],
    contexts: list[str],
    tokenizer_folder: Path,
    *,
    max_length: int,
    doc_stride: int,
    max_question_length: int,
) -> Pieces:
    """Tokenize and cut.

    Args:
        max_length: tokens of a window, the question and the special tokens included.
        doc_stride: tokens of the context that two neighbouring windows share.
        max_question_length: tokens that are read of a question; the rest is cut.
    """
    tokenizer = read_tokenizer(tokenizer_folder)
    special = tokenizer.num_special_tokens_to_add(is_pair=True)  # 3 of a BERT, 4 of a RoBERTa
    if max_question_length + special + doc_stride >= max_length:
        raise ValueError(
            f"max_length: {max_length} tokens hold no window: a question takes up to {max_question_length}, "
            f"special tokens {special}, and {doc_stride} are shared with the window before"
        )
    whole = [question.strip() for question in questions]
    shortened = _shortened(whole, tokenizer, max_question_length)
    tokenizer.enable_truncation(max_length, stride=doc_stride, strategy="only_second")
    may_have_spaces = not isinstance(tokenizer.model, WordPiece)
    ids, segments, question_of, offsets = [], [], [], []
    for number, window in _windows(shortened, contexts, tokenizer):
        ids.append(window.ids)
        segments.append(window.type_ids)
        offsets.append(_in_context(window, contexts[number], may_have_spaces=may_have_spaces))
        question_of.append(number)
    num_cut = sum(short != question for short, question in zip(shortened, whole, strict=True))
    tokens = Tokens(ids, segments, num_cut, padding_id(tokenizer_folder, tokenizer))
    return Pieces(tokens, question_of, offsets, contexts)


def _in_context(window: Encoding, context: str, *, may_have_spaces: bool) -> Offsets:
    """[S, 2]: the characters that each token of the context covers, less spaces around; -1 elsewhere.

    Args:
        may_have_spaces: byte-level and Unigram tokens begin with the space before them, unlike WordPiece's.
    """
    is_own = np.array([part == 1 for part in window.sequence_ids])
    found = np.where(is_own[:, None], np.array(window.offsets, np.int32), np.int32(OUTSIDE))
    if may_have_spaces:
        for place in np.flatnonzero(is_own).tolist():
            first, after = found[place].tolist()
            text = context[first:after]
            if text != text.strip():  # of a space alone nothing is left, at its end
                begin = after - len(text.lstrip())
                found[place] = begin, max(begin, first + len(text.rstrip()))
    return found


def _shortened(questions: list[str], tokenizer: Tokenizer, max_length: int) -> list[str]:
    """Cut after so many tokens."""
    tokenizer.enable_truncation(max_length)
    encodings = tokenizer.encode_batch(questions, add_special_tokens=False)
    return [
        question[: encoding.offsets[-1][1]] if encoding.overflowing else question
        for question, encoding in zip(questions, encodings, strict=True)
    ]


def _windows(
    questions: list[str], contexts: list[str], tokenizer: Tokenizer
) -> Iterator[tuple[int, Encoding]]:
    """Each window with its question's number, in order."""
    pairs = list(zip(questions, contexts, strict=True))
    for start in range(0, len(pairs), _CHUNK):
        for number, encoding in enumerate(tokenizer.encode_batch(pairs[start : start + _CHUNK]), start):
            yield from ((number, window) for window in (encoding, *encoding.overflowing))
