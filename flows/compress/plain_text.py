"""`bitladder compress --kind embeddings`: a sentence encoder made small on a person's own text, no labels.

It is judged by a file of pairs, if the person has one, else by texts of their own that are held out: the
longest sentence of each is to find the others among those of all held-out texts.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from flows.compress import asked as own
from flows.compress import work
from flows.compress.asked import Asked, BaseError
from flows.compress.lengths import Lengths
from flows.compress.work import Work
from pipeline.data import corpus, embedding_sets
from pipeline.data.own import reading
from pipeline.data.own.reading import OwnDataError
from pipeline.data.sources import TRAIN
from pipeline.kinds.embeddings import METRICS, SECOND, TEXT, set_kind
from pipeline.params import Data, JudgedBy, Task, Watched
from pipeline.problems import model_folder
from pipeline.progress import say

FEWEST_QUERIES = 10
_SHARE, _MOST_QUERIES = 0.2, 1000  # of the texts that have several sentences
_PIECES = 0.1  # of the pieces to learn from, on which checkpoints are chosen
_MOST_PIECES = 512
_FIRST = "ndcg_at_10"  # of retrieval: recall within ten is easily all of a small set


def check(asked: Asked, values: dict[str, Any]) -> Work:
    """Read the text and the pairs, choose what was left open, say what was found.

    Raises:
        OwnDataError, DataError, BaseError, ParamsError: with everything that is wrong.
    """
    base = work.base_of(values)
    if wrong := [*model_folder.pooling_problems(base, field="--base")]:
        raise BaseError("; ".join(wrong))
    texts = corpus.texts_of(Data.model_validate(values["data"]), Task.model_validate(values["task"]))
    values = _judged_by(values, sets(asked, texts))
    task, data = Task.model_validate(values["task"]), Data.model_validate(values["data"])
    frames = embedding_sets.load(task, data)
    held_out = min(_PIECES, _MOST_PIECES / len(frames[TRAIN]))
    values["task"]["selection_fraction"] = round(held_out, 6)
    shape = work.shape(values, base)
    told = _lengths(frames, base, min(asked.max_length, shape.max_position_embeddings))
    values["task"]["max_length"] = told.most
    own.params_of(values)
    judged = {name: len(frame) for name, frame in frames.items() if name != TRAIN}
    _say_what_was_found(asked, len(texts), len(frames[TRAIN]), judged, told)
    for_choosing = round(held_out * len(frames[TRAIN]))
    rows = {"train": len(frames[TRAIN]) - for_choosing, "selection": for_choosing}
    return Work(values, shape, told, {**rows, "validation": 2 * judged["validation"]})


def sets(asked: Asked, texts: list[str]) -> list[JudgedBy]:
    """What the encoder is judged by: the person's pairs, or a share of the texts."""
    found = [_pairs(split, path, asked) for split, path in asked.judging.items()]
    if asked.validation is not None:
        return found
    several = sum(len(corpus.sentences_of(text)) > 1 for text in texts)
    share = round(min(_SHARE, _MOST_QUERIES / max(1, several)), 6)
    if round(share * several) < FEWEST_QUERIES:
        raise OwnDataError(
            [
                f"{asked.file.name}: {several} texts have several sentences, a fifth of them to judge by; "
                f"expected {int(FEWEST_QUERIES / _SHARE)} at least, or --validation with a file of pairs"
            ]
        )
    return [JudgedBy(name="validation", held_out=share), *found]


def _pairs(split: str, path: Path, asked: Asked) -> JudgedBy:
    """Labels where the column holds nothing but 0 and 1, else scores; without a column, retrieval."""
    assert asked.text is not None
    assert asked.text_pair is not None
    pairs = JudgedBy(name=split, file=str(path), columns=[asked.text, asked.text_pair])
    if asked.label is None:
        return pairs
    values = reading.read(path, [asked.text, asked.text_pair, asked.label]).columns.get(asked.label, [])
    kind = "label" if values and all(map(embedding_sets.is_label, values)) else "score"
    return pairs.model_copy(update={kind: asked.label})


def _judged_by(values: dict[str, Any], found: list[JudgedBy]) -> dict[str, Any]:
    named = [name for one in found for name in METRICS[set_kind(one)]]
    metrics = list(dict.fromkeys([_FIRST, *named] if named[0] in METRICS["retrieval"] else named))
    task = {
        **values["task"],
        "judged_by": [one.model_dump(exclude_none=True) for one in found],
        "validation_splits": [one.name for one in found],
        "metrics": metrics,
    }
    watched = Watched.wanted(Data.model_validate(values["data"]), Task.model_validate(task))
    return {**values, "task": task, "watched": watched.model_dump()}


def _lengths(frames: dict[str, pd.DataFrame], base: Path, at_most: int) -> Lengths:
    texts = [frame[[name]].set_axis([TEXT], axis=1) for frame in frames.values() for name in (TEXT, SECOND)
             if name in frame.columns]  # fmt: skip
    return work.measured(texts, [TEXT], base, at_most)


def _say_what_was_found(
    asked: Asked, num_texts: int, num_pieces: int, judged: dict[str, int], told: Lengths
) -> None:
    split = "validation" if asked.validation else "held-out texts"
    first, *others = judged.items()
    by = ", ".join([f"{first[1]} pairs of {split}", *(f"{count} of {name}" for name, count in others)])
    pieces = f"{num_pieces} sentences and whole texts to learn from"
    say(f"compress: {asked.file.name}: {num_texts} different texts, {pieces}; judged by {by}")
    say(f"compress: {work.cut(told, 'cut (--max-length)')}")
