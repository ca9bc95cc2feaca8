"""The piece of a context that answers a question (SQuAD 1.1 and 2.0).

A question is read in windows of its context (windows.py), and scored by SQuAD's own script (squad.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bitladder import heads
from bitladder.heads import ANSWERING_KEY
from bitladder.text.spans import Span, answers, best_spans
from pipeline.kinds import squad
from pipeline.kinds.columns import CONTEXT, QUESTION, TEXTS, TITLE
from pipeline.kinds.kind import Chosen, Found, Kind, Outcome, Rows
from pipeline.kinds.metrics import Array, Scores
from pipeline.params import Task

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa


class QuestionAnswering(Kind):
    head = heads.SPAN
    loss = "cross_entropy"
    metrics = ("exact_match", "f1")
    score_is = "f1"
    num_columns = (2,)
    constant_is = "Never giving an answer"
    chosen_as = "no_answer_threshold"
    chosen_is = "A question has no answer when the model's margin for that is over its threshold"
    metrics_are = "EM: exact match. Both as SQuAD's own script defines them, from 0 to 1."
    hub_task = "question-answering"

    def problems(self, task: Task) -> Found:
        yield from super().problems(task)
        if task.sentence_columns != [QUESTION, CONTEXT]:
            columns = ", ".join(task.sentence_columns)
            yield "sentence_columns", f"{columns}; question_answering needs question, context"
        if set(task.metrics) < set(self.metrics):
            yield "metrics", f"{', '.join(task.metrics)}; question_answering needs both exact_match and f1"
        if task.answering is None:
            yield "answering", "missing; kind: question_answering needs its lengths in tokens"
            return
        question, shared = task.answering.max_question_length, task.answering.doc_stride
        if question + 3 + shared >= task.max_length:
            yield (
                "max_length",
                f"{task.max_length} tokens are too few: a question takes up to {question}, special tokens 3, "
                f"and {shared} (doc_stride) are shared with the window before; write more than "
                f"{question + 3 + shared}",
            )

    def read(self, table: "pa.Table", task: Task, *, source: str, training: bool) -> "pd.DataFrame":
        from pipeline.kinds import question_checks

        assert task.answering is not None
        return question_checks.checked(table, source=source, unanswerable=task.answering.unanswerable)

    def label_keys(self, frame: "pd.DataFrame") -> "pd.Series[Any]":
        """Whether they have an answer."""
        return frame[TEXTS].map(len) > 0

    def counts(self, frame: "pd.DataFrame", task: Task) -> dict[str, float | int]:
        has_answer = self.label_keys(frame)
        return {"answer": int(has_answer.sum()), "no answer": int((~has_answer).sum())}

    def groups(self, frame: "pd.DataFrame", task: Task) -> list[str]:
        """Articles, or contexts without a title; what stands under two titles counts to the first."""
        titles = frame[TITLE].where(frame[TITLE].str.strip() != "", frame[CONTEXT])
        found: list[str] = titles.groupby(frame[CONTEXT]).transform("first").tolist()
        return found

    def varied_columns(self, task: Task) -> list[str]:
        """The question alone: the answer is a piece of the context as it stands."""
        return [QUESTION]

    def label_names(self, task: Task) -> list[str]:
        return ["start", "end"]

    def settings(self, task: Task) -> dict[str, Any]:
        assert task.answering is not None
        lengths = {"max_length": task.max_length, **task.answering.model_dump()}
        return {ANSWERING_KEY: {**lengths, "no_answer_threshold": None}}

    def encode(self, frame: "pd.DataFrame", task: Task, tokenizer_folder: "Path") -> Rows:
        from pipeline.kinds.windows import encode_windows

        assert task.answering is not None
        windows = encode_windows(frame, tokenizer_folder, task.answering, max_length=task.max_length)
        return Rows(windows.tokens, windows.labels, len(windows), windows)

    def outcome(self, logits: Array, rows: Rows, task: Task, chosen: Chosen) -> Outcome:
        assert task.answering is not None
        windows, unanswerable = rows.beside, task.answering.unanswerable
        spans = best_spans(logits, windows, max_answer_length=task.answering.max_answer_length)
        threshold = _threshold(spans, windows.answers, chosen) if unanswerable else None
        predicted = answers(spans, threshold)
        marks = squad.marks(predicted, windows.answers, unanswerable=unanswerable)
        scores = squad.scores(marks, windows.answers, unanswerable=unanswerable)
        return Outcome(
            marks.f1[:, None],
            predicted,
            list(map(tuple, windows.answers)),
            right=scores[squad.EXACT_MATCH],
            chosen=threshold,
            more=scores,
        )

    def right(self, answers: Sequence[Any], truth: Sequence[Any]) -> Array:
        """Exactly one of the answers that people gave, as SQuAD compares them; none where there is none."""
        marks = squad.marks(answers, truth, unanswerable=True)
        found: Array = marks.exact_match > 0
        return found

    def in_words(self, answer: Any, task: Task) -> str:
        return answer or "(no answer)"

    def truth_in_words(self, truth: Any, task: Task) -> str:
        return " / ".join(dict.fromkeys(truth)) or "(no answer)"

    def measured(self, names: Sequence[str], examples_NK: Array, task: Task) -> Scores:
        """F1; exact match is with `Outcome.more`."""
        return {name: float(examples_NK.mean()) for name in names if name == squad.F1}

    def constant(self, frame: "pd.DataFrame", task: Task) -> tuple[float | None, float | None]:
        """Of never giving an answer."""
        if task.answering is None or not task.answering.unanswerable:
            return None, None
        share = float((frame[TEXTS].map(len) == 0).mean())
        return share, share

    def noted(self, config: Any) -> Chosen:
        found: float | None = (getattr(config, ANSWERING_KEY, None) or {}).get(self.chosen_as)
        return found

    def note(self, config: Any, chosen: Chosen) -> None:
        setattr(config, ANSWERING_KEY, {**getattr(config, ANSWERING_KEY), "no_answer_threshold": chosen})


def _threshold(spans: Sequence[Span], given: Sequence[Sequence[str]], chosen: Chosen) -> float:
    """The margin over which "no answer" is said: the one given, else that with the largest F1 here."""
    if chosen is not None:
        assert not isinstance(chosen, list)
        return chosen
    return chosen_threshold(spans, given)


def chosen_threshold(spans: Sequence[Span], given: Sequence[Sequence[str]]) -> float:
    """The margin over which "no answer" is said, so that the F1 of these questions is largest."""
    answered = squad.marks([span.text for span in spans], given, unanswerable=True)
    silent = squad.marks([squad.NO_ANSWER] * len(spans), given, unanswerable=True)
    return squad.best_threshold([span.margin for span in spans], answered, silent)
