"""From the logits of windows to one answer per question: the best piece of the context.

A piece is as good as the logit of its first token as a start plus that of its last token as an end, as in
BERT (arXiv:1810.04805); it begins and ends in the context, holds at most so many tokens, and the best one of
all windows counts. [CLS] as start and end means that a window has no answer; of all windows the surest one
speaks for "no answer" the least (the least sum), as in BERT's script for SQuAD 2.0.

Shapes: N windows, S tokens, 2: start and end; Q questions; P tokens of the context in a window; A the most
tokens of an answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitladder.text.characters import with_what_follows
from bitladder.text.cutting import OUTSIDE, Offsets, Pieces

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Span:
    """Attributes:
    text: as it stands in the context, from character `start` to before `end`, with the marks that belong to
        its last letter, though no token covers them.
    score: logit of the start plus logit of the end.
    no_answer: the same of "no answer".
    """

    text: str
    start: int
    end: int
    score: float
    no_answer: float

    @property
    def margin(self) -> float:
        """How much more the model believes in no answer than in this one."""
        return self.no_answer - self.score


def best_spans(logits_N2S: Iterable[Array], windows: Pieces, *, max_answer_length: int) -> list[Span]:
    """The best piece for each question, in order; logits may be padded at the end of S.

    Raises ValueError when a context has no word.
    """
    found: list[list[tuple[float, int, int]]] = [[] for _ in windows.contexts]
    no_answer = [np.inf] * len(windows.contexts)
    for question, logits_2S, offsets in zip(windows.question_of, logits_N2S, windows.offsets, strict=True):
        if (offsets[:, 0] == OUTSIDE).all():
            raise ValueError(f"context of question {question}: there is no word in it to answer with")
        found[question].append(_best(logits_2S, offsets, max_answer_length))
        no_answer[question] = min(no_answer[question], float(logits_2S[0, 0]) + float(logits_2S[1, 0]))
    spans = []
    for context, pieces, null in zip(windows.contexts, found, no_answer, strict=True):
        score, start, end = max(pieces, key=lambda piece: piece[0])
        end = with_what_follows(context, end)
        spans.append(Span(context[start:end], start, end, score, null))
    return spans


def answers(spans: Sequence[Span], threshold: float | None) -> list[str]:
    """The texts; "" where the margin is over the threshold. None: every question has an answer."""
    return ["" if threshold is not None and span.margin > threshold else span.text for span in spans]


def _best(logits_2S: Array, offsets_S2: Offsets, max_answer_length: int) -> tuple[float, int, int]:
    """(score, first character, character after the last) of a window's best piece; the first of equals."""
    context_P = np.flatnonzero(offsets_S2[:, 0] != OUTSIDE)
    start_P, end_P = logits_2S[:, context_P].astype(np.float64)
    padded = np.concatenate([end_P, np.full(max_answer_length - 1, -np.inf)])
    ends_PA = np.lib.stride_tricks.sliding_window_view(padded, max_answer_length)
    lengths_P = ends_PA.argmax(axis=1)
    score_P = start_P + ends_PA.max(axis=1)
    first = int(score_P.argmax())
    last = first + int(lengths_P[first])
    start, end = offsets_S2[context_P[first], 0], offsets_S2[context_P[last], 1]
    return float(score_P[first]), int(start), int(end)
