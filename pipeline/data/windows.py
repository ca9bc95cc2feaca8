"""Questions and their contexts as windows that a BERT can read.

A context that does not fit is read in several windows, each with the whole question and the next piece of
the context; neighbours share `doc_stride` tokens, so that most answers stand whole in one of them (counted
as transformers counts it; in BERT's first script `doc_stride` is the step from one window to the next).
Every window is a row to train on: its labels are the tokens at which the answer starts and ends, or 0 and 0,
which is [CLS], when the window does not hold all of it or there is none.

Shapes: N windows, S tokens of a window (they differ), Q questions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pipeline.data.encode import Encoded, read_tokenizer
from pipeline.data.questions import CONTEXT, QUESTION, STARTS, TEXTS

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

Offsets = npt.NDArray[np.int32]
OUTSIDE = -1
_CHUNK = 1000  # questions tokenized at once: what the tokenizer returns is large


@dataclass(frozen=True)
class Windows:
    """The questions of a split, cut.

    Attributes:
        rows: the windows; labels [N, 2] are the first and the last token of the answer. Counted as
            truncated are questions.
        question_of: the number of each window's question.
        offsets: by window, [S, 2]: the context's characters that a token covers, from and to; -1 elsewhere.
        contexts: by question.
        answers: by question, the texts that people gave; none where there is no answer.
    """

    rows: Encoded
    question_of: list[int]
    offsets: list[Offsets]
    contexts: list[str]
    answers: list[list[str]]

    def __len__(self) -> int:
        return len(self.contexts)


def encode_windows(
    frame: pd.DataFrame,
    tokenizer_folder: Path,
    *,
    max_length: int,
    doc_stride: int,
    max_question_length: int,
) -> Windows:
    """Tokenize and cut. Columns: `question`, `context`; `answer_texts` and `answer_starts` where known.

    Args:
        max_length: tokens of a window, the question and three special tokens included.
        doc_stride: tokens of the context that two neighbouring windows share.
        max_question_length: tokens that are read of a question; the rest is cut.
    """
    if max_question_length + 3 + doc_stride >= max_length:
        raise ValueError(
            f"max_length: {max_length} tokens hold no window: a question takes up to {max_question_length}, "
            f"special tokens 3, and {doc_stride} are shared with the window before"
        )
    tokenizer = read_tokenizer(tokenizer_folder)
    whole = [question.strip() for question in frame[QUESTION]]
    questions = _shortened(whole, tokenizer, max_question_length)
    tokenizer.enable_truncation(max_length, stride=doc_stride, strategy="only_second")
    answers = _answers(frame)
    ids, segments, labels, question_of, offsets = [], [], [], [], []
    for number, window in _windows(questions, frame[CONTEXT].tolist(), tokenizer):
        own = _offsets(window)
        ids.append(window.ids)
        segments.append(window.type_ids)
        offsets.append(own)
        question_of.append(number)
        labels.append(_tokens_of(answers[number][0], own) if answers[number] else (0, 0))
    num_cut = sum(short != question for short, question in zip(questions, whole, strict=True))
    rows = Encoded(ids, segments, torch.tensor(labels, dtype=torch.int64), num_cut)
    texts = [[text for text, _ in own] for own in answers]
    return Windows(rows, question_of, offsets, frame[CONTEXT].tolist(), texts)


def _shortened(questions: list[str], tokenizer: "Tokenizer", max_length: int) -> list[str]:
    """Cut after so many tokens."""
    tokenizer.enable_truncation(max_length)
    encodings = tokenizer.encode_batch(questions, add_special_tokens=False)
    return [
        question[: encoding.offsets[-1][1]] if encoding.overflowing else question
        for question, encoding in zip(questions, encodings, strict=True)
    ]


def _windows(
    questions: list[str], contexts: list[str], tokenizer: "Tokenizer"
) -> Iterator[tuple[int, "Encoding"]]:
    """Each window with its question's number, in order."""
    pairs = list(zip(questions, contexts, strict=True))
    for start in range(0, len(pairs), _CHUNK):
        for number, encoding in enumerate(tokenizer.encode_batch(pairs[start : start + _CHUNK]), start):
            yield from ((number, window) for window in (encoding, *encoding.overflowing))


def _answers(frame: pd.DataFrame) -> list[list[tuple[str, int]]]:
    if TEXTS not in frame.columns:
        return [[] for _ in range(len(frame))]
    columns = zip(frame[TEXTS], frame[STARTS], strict=True)
    return [list(zip(map(str, texts), map(int, starts), strict=True)) for texts, starts in columns]


def _offsets(window: "Encoding") -> Offsets:
    in_context = np.array(window.type_ids) > np.array(window.special_tokens_mask)  # [SEP] at its end is none
    return np.where(in_context[:, None], np.array(window.offsets, np.int32), np.int32(OUTSIDE))


def _tokens_of(answer: tuple[str, int], offsets_S2: Offsets) -> tuple[int, int]:
    """First and last token of the answer; (0, 0) when the window does not hold the whole of it.

    Spaces around it count for nothing: no token covers them.
    """
    text, start = answer
    first = start + len(text) - len(text.lstrip())
    after = start + len(text.rstrip())
    from_S, to_S = offsets_S2.T
    touching = np.flatnonzero((from_S != OUTSIDE) & (from_S < after) & (to_S > first))
    begins = from_S[from_S != OUTSIDE][0]
    if not len(touching) or begins > first or to_S.max() < after:
        return 0, 0
    return int(touching[0]), int(touching[-1])
