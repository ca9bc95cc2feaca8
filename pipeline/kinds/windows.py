"""Questions and their contexts as rows to train on.

Every window that cutting.py makes of a context is a row: its labels are the tokens at which the answer starts
and ends, or 0 and 0, which is [CLS], when the window does not hold all of it or there is none.

Shapes: N windows, S tokens of a window (they differ), Q questions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bitladder.text.characters import seen_part
from bitladder.text.cutting import OUTSIDE as OUTSIDE
from bitladder.text.cutting import Offsets, Pieces, cut
from pipeline.kinds.columns import CONTEXT, QUESTION, STARTS, TEXTS
from pipeline.params import Answering

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Windows(Pieces):
    """The questions of a split, cut.

    Attributes:
        labels: [N, 2], the first and the last token of the answer.
        answers: by question, the texts that people gave; none where there is no answer.
    """

    labels: npt.NDArray[np.int64]
    answers: list[list[str]]

    def __len__(self) -> int:
        return len(self.contexts)


def encode_windows(
    frame: "pd.DataFrame", tokenizer_folder: Path, answering: Answering, *, max_length: int
) -> Windows:
    """Tokenize and cut. Columns: `question`, `context`; `answer_texts` and `answer_starts` where known.

    Args:
        max_length: tokens of a window, the question and the special tokens included.
    """
    contexts, answers = frame[CONTEXT].tolist(), _answers(frame)
    pieces = cut(
        frame[QUESTION].tolist(),
        contexts,
        tokenizer_folder,
        max_length=max_length,
        doc_stride=answering.doc_stride,
        max_question_length=answering.max_question_length,
    )
    labels = [
        _tokens_of(answers[number][0], own) if answers[number] else (0, 0)
        for number, own in zip(pieces.question_of, pieces.offsets, strict=True)
    ]
    texts = [[text for text, _ in own] for own in answers]
    return Windows(
        pieces.tokens, pieces.question_of, pieces.offsets, contexts, np.array(labels, np.int64), texts
    )


def _answers(frame: "pd.DataFrame") -> list[list[tuple[str, int]]]:
    if TEXTS not in frame.columns:
        return [[] for _ in range(len(frame))]
    columns = zip(frame[TEXTS], frame[STARTS], strict=True)
    return [list(zip(map(str, texts), map(int, starts), strict=True)) for texts, starts in columns]


def _tokens_of(answer: tuple[str, int], offsets_S2: Offsets) -> tuple[int, int]:
    """First and last token of the answer; (0, 0) when the window does not hold the whole of it.

    What no token covers at its edges counts for nothing: spaces, what nobody sees, marks over a letter.
    """
    text, start = answer
    first, after = (start + edge for edge in seen_part(text))
    from_S, to_S = offsets_S2.T
    touching = np.flatnonzero((from_S != OUTSIDE) & (from_S < after) & (to_S > first))
    if not len(touching) or from_S[from_S != OUTSIDE][0] > first or to_S.max() < after:
        return 0, 0
    return int(touching[0]), int(touching[-1])
