"""Entities in a text, as tags of its words: `O`, `B-X`, `I-X` (see bitladder.text.entities).

A word's tag is learned and read at its first token. Entity F1 is that of conlleval and seqeval: an entity is
right when its type and both ends are (Tjong Kim Sang and De Meulder 2003, arXiv:cs/0306050).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bitladder import heads
from bitladder.heads import KIND_KEY
from bitladder.text.entities import OUTSIDE, Entity, bad_tags, entities
from bitladder.text.words import NOWHERE, tokenize_words
from pipeline.kinds.columns import LABEL, WORD_ENDS, WORD_STARTS
from pipeline.kinds.kind import IGNORED, Chosen, Found, Kind, Outcome, Rows
from pipeline.kinds.metrics import Array, Scores, f1_of_counts
from pipeline.params import Task

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa


class TokenClassification(Kind):
    head = heads.TOKENS
    loss = "token_cross_entropy"
    metrics = ("entity_f1", "entity_precision", "entity_recall")
    num_columns = (1,)
    has_names = True
    metrics_are = "Entities are right when their type and both ends are, as seqeval counts them."
    hub_task = "token-classification"

    def problems(self, task: Task) -> Found:
        yield from super().problems(task)
        if len(task.label_names) > 1 and (wrong := bad_tags(task.label_names)):
            yield "label_names", wrong
        if task.metrics[0] != "entity_f1":
            yield "metrics", f"{', '.join(task.metrics)}; the first one is the score, and has to be entity_f1"

    def read(self, table: "pa.Table", task: Task, *, source: str, training: bool) -> "pd.DataFrame":
        """The text column holds lists of words and `label` lists of their tags (names, or their numbers); or
        texts, and `label` lists of {start, end, label} by characters, the end after the last."""
        from pipeline.kinds import tagged

        return tagged.checked(table, task, source=source, training=training)

    def label_keys(self, frame: "pd.DataFrame") -> "pd.Series[Any]":
        return frame[LABEL].map(tuple)

    def counts(self, frame: "pd.DataFrame", task: Task) -> dict[str, float | int]:
        """Entities by type."""
        found = [one.label for tags in frame[LABEL] for one in entities(_named(tags, task))]
        types = dict.fromkeys(name[2:] for name in task.label_names if name != OUTSIDE)
        return {"words": int(frame[LABEL].map(len).sum()), **{name: found.count(name) for name in types}}

    def varied_columns(self, task: Task) -> list[str]:
        """None: a word that is put in or left out has a tag that nobody knows."""
        return []

    def settings(self, task: Task) -> dict[str, Any]:
        return {KIND_KEY: "token_classification"}

    def encode(self, frame: "pd.DataFrame", task: Task, tokenizer_folder: "Path") -> Rows:
        places = [
            list(zip(map(int, starts), map(int, ends), strict=True))
            for starts, ends in zip(frame[WORD_STARTS], frame[WORD_ENDS], strict=True)
        ]
        texts = frame[task.sentence_columns[0]].tolist()
        words = tokenize_words(texts, places, tokenizer_folder, max_length=task.max_length)
        labels_NS = np.full((len(frame), max(map(len, words.tokens.input_ids))), IGNORED, np.int64)
        for row, (first_tokens, tags) in enumerate(zip(words.first_tokens, frame[LABEL], strict=True)):
            for token, tag in zip(first_tokens, tags, strict=True):
                if token != NOWHERE:
                    labels_NS[row, token] = tag
        truth = [entities(_named(tags, task)) for tags in frame[LABEL]]
        return Rows(words.tokens, labels_NS, len(frame), (words.first_tokens, truth))

    def outcome(self, logits: Array, rows: Rows, task: Task, chosen: Chosen) -> Outcome:
        """Examples are sentences: right, found and wanted entities of each."""
        first_tokens, truth = rows.beside
        answers = [
            entities([task.label_names[best_S[token]] if token != NOWHERE else OUTSIDE for token in tokens])
            for best_S, tokens in zip(self.decided(logits, None), first_tokens, strict=True)
        ]
        counts = [_counts(*pair) for pair in zip(answers, truth, strict=True)]
        examples_NK = np.array(counts, np.float64)
        answered, wanted = (list(map(tuple, each)) for each in (answers, truth))
        return Outcome(examples_NK, answered, wanted, right=self.accuracy(examples_NK))

    def decided(self, logits: Array, chosen: Chosen) -> Array:
        """[N, S], the tag of each token."""
        found: Array = logits.argmax(axis=1)
        return found

    def classes(self, answers: Sequence[Any], truth: Sequence[Any], task: Task) -> dict[str, tuple[int, int]]:
        """Of each type: the entities there are, and those that were not found."""
        pairs = [(one, said) for said, of in zip(answers, truth, strict=True) for one in of]
        types = dict.fromkeys(name[2:] for name in task.label_names if name != OUTSIDE)
        return {
            name: (
                sum(one.label == name for one, _ in pairs),
                sum(one.label == name and one not in said for one, said in pairs),
            )
            for name in types
        }

    def in_words(self, answer: Any, task: Task) -> str:
        """`PER 1, LOC 4-5`, by the numbers of the words, counted from 1."""
        found = [
            f"{one.label} {one.first + 1}" + (f"-{one.last + 1}" if one.last > one.first else "")
            for one in answer
        ]
        return ", ".join(found) or "(none)"

    def measured(self, names: Sequence[str], examples_NK: Array, task: Task) -> Scores:
        right, found, wanted = examples_NK.sum(axis=0).tolist()
        every = {
            "entity_f1": f1_of_counts(right, found, wanted),
            "entity_precision": right / found if found else None,
            "entity_recall": right / wanted if wanted else None,
        }
        return {name: every[name] for name in names}

    def accuracy(self, examples_NK: Array) -> float | None:
        """Share of sentences whose entities are all right."""
        right_N, found_N, wanted_N = examples_NK.T
        return float(((right_N == found_N) & (right_N == wanted_N)).mean())


def _named(tags: Sequence[int], task: Task) -> list[str]:
    return [task.label_names[tag] for tag in tags]


def _counts(found: list[Entity], wanted: list[Entity]) -> tuple[int, int, int]:
    return len({*found} & {*wanted}), len(found), len(wanted)
