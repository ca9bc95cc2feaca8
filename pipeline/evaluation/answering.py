"""Run a question-answering model over the windows of a split and score its answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bitladder.text.spans import Span, answers, best_spans
from pipeline.evaluation import squad
from pipeline.evaluation.score import Scored, gives_one_answer, logits
from pipeline.tasks.windows import Windows


def score_answers(
    model: Any,
    windows: Windows,
    *,
    max_answer_length: int,
    unanswerable: bool,
    threshold: float | None = None,
) -> Scored:
    """Score a model on one split. Logits that are not finite give undefined scores.

    Args:
        unanswerable: whether a question may have no answer.
        threshold: margin over which "no answer" is said then; without one, the best on this very split, which
            only the split may use that checkpoints are chosen on.
    """
    logits_N2S = logits(model, windows.rows)
    if not np.isfinite(logits_N2S).all():
        return Scored(logits_N2S, dict.fromkeys((squad.EXACT_MATCH, squad.F1)), None)
    spans = best_spans(logits_N2S, windows, max_answer_length=max_answer_length)
    if unanswerable and threshold is None:
        threshold = chosen_threshold(spans, windows.answers)
    predicted = answers(spans, threshold if unanswerable else None)
    marks = squad.marks(predicted, windows.answers, unanswerable=unanswerable)
    scores = squad.scores(marks, windows.answers, unanswerable=unanswerable)
    right, kept = scores[squad.EXACT_MATCH], threshold if unanswerable else None
    return Scored(
        logits_N2S,
        scores,
        scores[squad.F1],
        right,
        kept,
        rows_NK=marks.f1[:, None],
        collapsed=gives_one_answer(predicted, list(map(tuple, windows.answers))),
    )


def chosen_threshold(spans: Sequence[Span], given: Sequence[Sequence[str]]) -> float:
    """The margin over which "no answer" is said, so that the F1 of these questions is largest."""
    answered = squad.marks([span.text for span in spans], given, unanswerable=True)
    silent = squad.marks([squad.NO_ANSWER] * len(spans), given, unanswerable=True)
    return squad.best_threshold([span.margin for span in spans], answered, silent)
