"""A vector for each text, as near to another text's as the pre-trained encoder has them. No labels.

The teacher is a sentence encoder that somebody has trained (Sentence-BERT, arXiv:1908.10084); training text
is `data.corpus`, and what vectors are good for is found on the sets of `task.judged_by`, of three kinds:

    graded      pairs of texts with a number for how alike they are: Spearman's correlation of the cosines
    labelled    pairs that are alike (1) or not (0): average precision of the pairs ranked by cosine
    retrieval   a query and the text it belongs to: how high that stands among all texts of the set

Without a file of pairs, texts of the person's own are one: a sentence is to find the rest of the text that it
was taken from (the inverse cloze task, Lee et al., arXiv:1906.00300).

In a split of such a set the rows are the texts, each once; its examples are the pairs. Where cosines are
equal the wrong text is ranked first, so that vectors which say the same of all gain nothing.

Shapes: U texts, E numbers of a vector, N pairs or queries, T texts that are searched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bitladder import heads
from bitladder.heads import KIND_KEY
from pipeline.kinds import metrics
from pipeline.kinds.columns import INDEX
from pipeline.kinds.kind import Chosen, Found, Kind, Outcome, Rows
from pipeline.kinds.metrics import Array, Scores
from pipeline.params import JudgedBy, Task

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

TEXT, SECOND, TARGET = "text", "text_pair", "target"
WHOLE = "whole"  # of a piece of text: the number of the text that it was cut from
HELD_OUT = "sentence_cosine"  # mean cosine to the teacher's vectors; what checkpoints are chosen by
SetKind = Literal["graded", "labelled", "retrieval"]
METRICS: dict[SetKind, tuple[str, ...]] = {
    "graded": ("spearman",),
    "labelled": ("average_precision",),
    "retrieval": ("recall_at_1", "recall_at_10", "ndcg_at_10"),
}
_SEARCHED = 512  # queries at once


def set_kind(own: JudgedBy) -> SetKind:
    """Of a set of `task.judged_by`."""
    return "graded" if own.score else "labelled" if own.label else "retrieval"


@dataclass(frozen=True)
class Pairs:
    """Attributes:
    first_N, second_N: the texts of each pair, by their place among the rows.
    target_N: score or label; of retrieval nothing.
    """

    kind: SetKind
    first_N: NDArray[np.int64]
    second_N: NDArray[np.int64]
    target_N: NDArray[np.float32]


class Embeddings(Kind):
    head = heads.VECTOR
    loss = "cosine"
    has_labels = False
    metrics = ("recall_at_1", "recall_at_10", "ndcg_at_10", "spearman", "average_precision")
    num_columns = (1,)
    hub_task = "sentence-similarity"
    metrics_are = (
        "Recall@k: share of queries whose own text is among the k nearest of all; nDCG@10: 1 / log2(1 + "
        "rank) of it, 0 below ten; Spearman: of the pairs' cosines and their grades; average precision: of "
        "the pairs ranked by cosine. Of equal cosines the wrong one is ranked first."
    )

    def problems(self, task: Task) -> Found:
        yield from super().problems(task)
        sets = task.judged_by or []
        if not sets:
            yield "judged_by", "missing; name a file of pairs or of queries and texts (docs/embeddings.md)"
        if sets and [own.name for own in sets] != list(task.validation_splits):
            named = ", ".join(own.name for own in sets)
            yield "validation_splits", f"has to name the sets of judged_by, in their order: [{named}]"
        if task.sentence_columns != [TEXT]:
            yield "sentence_columns", f"has to be [{TEXT}]; the columns of a set are its own"
        for number, own in enumerate(sets):
            yield from _set_problems(f"judged_by[{number}]", own)
        if sets and task.metrics[0] not in _metrics(sets[0]):
            allowed = " or ".join(_metrics(sets[0]))
            yield "metrics", f"{task.metrics[0]} comes first, and {sets[0].name} has {allowed}"
        for metric in task.metrics:
            if metric in self.metrics and sets and not any(metric in _metrics(own) for own in sets):
                yield "metrics", f"no set of judged_by has {metric}; leave it out, or add a set"

    def label_keys(self, frame: "pd.DataFrame") -> "pd.Series[Any]":
        return frame[TARGET] if TARGET in frame.columns else frame[INDEX] * 0

    def counts(self, frame: "pd.DataFrame", task: Task) -> dict[str, float | int]:
        """Texts of a split, and of a set those that are paired with or searched."""
        columns = {"texts": TEXT, "second texts": SECOND}
        return {name: int(frame[own].nunique()) for name, own in columns.items() if own in frame.columns}

    def groups(self, frame: "pd.DataFrame", task: Task) -> list[str] | None:
        """Pieces of one text stay together."""
        return [str(number) for number in frame[WHOLE]] if WHOLE in frame.columns else None

    def label_names(self, task: Task) -> list[str]:
        return []

    def settings(self, task: Task) -> dict[str, Any]:
        return {KIND_KEY: "embeddings"}

    def encode(self, frame: "pd.DataFrame", task: Task, tokenizer_folder: "Path") -> Rows:
        from bitladder.text.tokens import tokenize

        if SECOND not in frame.columns:  # text to learn from
            texts = frame[TEXT].tolist()
            tokens = tokenize(texts, None, tokenizer_folder, max_length=task.max_length)
            return Rows(tokens, np.zeros(len(texts), np.float32), len(texts))
        numbers = {
            text: number for number, text in enumerate(sorted({*frame[TEXT], *frame[SECOND]}, key=_by_length))
        }
        tokens = tokenize(list(numbers), None, tokenizer_folder, max_length=task.max_length)
        first_N, second_N = (np.array([numbers[text] for text in frame[name]]) for name in (TEXT, SECOND))
        target_N = frame[TARGET].to_numpy(np.float32) if TARGET in frame.columns else np.zeros(0, np.float32)
        beside = Pairs(_kind_of(frame), first_N, second_N, target_N)
        return Rows(tokens, np.zeros(len(numbers), np.float32), len(frame), beside)

    def outcome(self, logits: Array, rows: Rows, task: Task, chosen: Chosen) -> Outcome:
        """Examples are pairs, [cosine, target, kind], or queries, [rank, 0, kind]."""
        pairs: Pairs = rows.beside
        code = np.full(len(pairs.first_N), list(METRICS).index(pairs.kind), np.float64)
        if pairs.kind == "retrieval":
            rank_N, nearest_N, searched_T = _ranked(logits, pairs)
            examples = np.stack([rank_N, np.zeros_like(code), code], axis=1)
            return Outcome(examples, searched_T[nearest_N].tolist(), pairs.second_N.tolist())
        first_NE, second_NE = (logits[own].astype(np.float64) for own in (pairs.first_N, pairs.second_N))
        cosine_N = (first_NE * second_NE).sum(axis=1)
        examples = np.stack([cosine_N, pairs.target_N.astype(np.float64), code], axis=1)
        return Outcome(examples, cosine_N.tolist(), pairs.target_N.tolist())

    def right(self, answers: Sequence[Any], truth: Sequence[Any]) -> Array | None:
        """Of queries, whether their own text is the nearest; cosines are numbers."""
        return None if isinstance(answers[0], float) else super().right(answers, truth)

    def in_words(self, answer: Any, task: Task) -> str:
        return f"{answer:.3f}" if isinstance(answer, float) else f"text {answer}"

    def decided(self, logits: Array, chosen: Chosen) -> None:
        return None

    def measured(self, names: Sequence[str], examples_NK: Array, task: Task) -> Scores:
        """Those that the set has."""
        value_N, target_N, code_N = examples_NK.T
        kind = list(METRICS)[int(code_N[0])]
        own = [name for name in names if name in METRICS[kind]]
        if kind == "graded":
            return metrics.compute(own, value_N, target_N)
        if kind == "labelled":
            ranked_N = target_N[np.lexsort((target_N, -value_N))]
            found = metrics.average_precision(ranked_N) if (ranked_N > 0).any() else None
            return dict.fromkeys(own, found)
        every = {
            "recall_at_1": (value_N <= 1).mean(),
            "recall_at_10": (value_N <= 10).mean(),
            "ndcg_at_10": np.where(value_N <= 10, 1 / np.log2(1 + value_N), 0).mean(),
        }
        return {name: float(every[name]) for name in own}

    def score(self, examples_NK: Array, task: Task) -> float | None:
        return metrics.mean_score(self.measured(task.metrics[:1], examples_NK, task))


def _metrics(own: JudgedBy) -> tuple[str, ...]:
    return METRICS[set_kind(own)]


def _set_problems(where: str, own: JudgedBy) -> Found:
    if own.score and own.label:
        yield where, "has a score and a label; name one of them, or none for retrieval"
    if (own.file is None) == (own.held_out is None):
        yield (
            where,
            "needs a file, or held_out, the share of data.corpus's texts that is kept back; one of both",
        )
    elif own.file is not None and own.columns is None:
        yield f"{where}.columns", "missing; name the columns of the two texts"
    elif own.held_out is not None and (own.columns or own.score or own.label):
        yield where, "has held_out, and columns, score and label are those of a file; leave them out"


def _by_length(text: str) -> tuple[int, str]:
    """Rows of like length share a batch."""
    return len(text), text


def _kind_of(frame: "pd.DataFrame") -> SetKind:
    if TARGET not in frame.columns:
        return "retrieval"
    return "labelled" if frame[TARGET].dtype.kind in "iub" else "graded"


def _ranked(
    vectors_UE: Array, pairs: Pairs
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each query its own text's rank, from 1, and the place of the nearest; and the texts searched."""
    searched_T, own_N = np.unique(pairs.second_N, return_inverse=True)
    searched_TE = vectors_UE[searched_T]
    rank_N, nearest_N = np.zeros(len(own_N)), np.zeros(len(own_N), np.int64)
    for start in range(0, len(own_N), _SEARCHED):
        some = slice(start, start + _SEARCHED)
        cosine_NT = vectors_UE[pairs.first_N[some]] @ searched_TE.T
        own_N1 = np.take_along_axis(cosine_NT, own_N[some, None], axis=1)
        rank_N[some] = (cosine_NT >= own_N1).sum(axis=1)
        nearest_N[some] = cosine_NT.argmax(axis=1)
    return rank_N, nearest_N, searched_T
