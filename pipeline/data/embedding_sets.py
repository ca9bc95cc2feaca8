"""What sentence encoders learn from and are judged by: pieces of text, and sets of pairs in a person's files.

Columns of train: `text`, `whole` (the number of the text that the piece was cut from) and `idx`. Of a set:
`text`, `text_pair`, `idx`, and `target` where it has scores (float32) or labels (int64).
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bitladder import files
from pipeline.data import corpus
from pipeline.data.own import reading
from pipeline.data.own.reading import OwnDataError, Rows
from pipeline.data.own.texts import missing_columns, text_problems
from pipeline.data.sources import TRAIN
from pipeline.kinds.columns import INDEX
from pipeline.kinds.embeddings import SECOND, TARGET, TEXT, WHOLE
from pipeline.params import Data, JudgedBy, Task

_ALIKE = {"0": 0, "1": 1, "false": 0, "true": 1}


def load(task: Task, data: Data) -> dict[str, pd.DataFrame]:
    """Train and every set, by split; the same texts are held out every time.

    Raises:
        OwnDataError: a file, a column or a value of a set is wrong; every problem of every file is told.
        DataError: the text cannot be read.
        IntegrityError: a Parquet file is torn.
    """
    assert task.judged_by is not None
    read = {own.name: _read(own, data.path_of(own.file)) for own in task.judged_by if own.file}
    if wrong := [f"{rows.source}: {one}" for rows in read.values() for one in rows.problems]:
        raise OwnDataError(wrong)
    texts, frames = corpus.texts_of(data, task), dict[str, pd.DataFrame]()
    for own in task.judged_by:
        if own.held_out is None:
            frames[own.name] = _frame(read[own.name], own)
        else:
            texts, frames[own.name] = _hold_out(texts, own.held_out)
    numbered = dict(corpus.numbered_sentences(texts))
    train = pd.DataFrame({TEXT: list(numbered), WHOLE: list(numbered.values()), INDEX: range(len(numbered))})
    return {TRAIN: train, **frames}


def digests(task: Task, data: Data) -> dict[str, str]:
    """sha256 of every file that was read, by split; of train by the file's name."""
    found = {one.file: files.sha256(data.path_of(one.file)) for one in data.corpus or ()}
    sets = {own.name: files.sha256(data.path_of(own.file)) for own in task.judged_by or () if own.file}
    return found | sets


def _hold_out(texts: list[str], share: float) -> tuple[list[str], pd.DataFrame]:
    """The texts that are left to learn from; of each other one its longest sentence, and the rest of it."""
    several = [text for text in texts if len(corpus.sentences_of(text)) > 1]
    count = round(share * len(several))
    if not count:
        raise OwnDataError(
            [
                f"data.corpus: {len(several)} texts have several sentences, too few to hold out {share:g} of "
                "them; name a file of pairs in task.judged_by"
            ]
        )
    drawn = {several[at] for at in np.random.default_rng(0).permutation(len(several))[:count]}
    pairs = [_asked_and_rest(text) for text in texts if text in drawn]
    frame = pd.DataFrame(pairs, columns=[TEXT, SECOND])
    return [text for text in texts if text not in drawn], frame.assign(**{INDEX: range(len(frame))})


def _asked_and_rest(text: str) -> tuple[str, str]:
    sentences = corpus.sentences_of(text)
    asked = max(sentences, key=len)
    sentences.remove(asked)
    return asked, " ".join(sentences)


def _read(own: JudgedBy, path: Path) -> Rows:
    assert own.columns is not None
    wanted = [*own.columns, *filter(None, (own.score, own.label))]
    rows = reading.read(path, wanted)
    if not rows.problems:
        rows.problems += missing_columns(rows, wanted)
    if not rows.problems:
        rows.problems += [one for column in own.columns for one in text_problems(rows, column)]
        rows.problems += _target_problems(rows, own)
    if not rows.problems and not len(rows):
        rows.problems.append("no rows; at least one is needed")
    return rows


def _target_problems(rows: Rows, own: JudgedBy) -> Iterator[str]:
    """Rows whose score is no number, or whose label is neither 0 nor 1."""
    column, wanted = (own.score, "a number") if own.score else (own.label, "0 or 1")
    if column is None:
        return
    values = rows.columns[column]
    target = _score if own.score else _label
    if wrong := [row for row, value in enumerate(values) if target(value) is None]:
        value = reading.shown(values[wrong[0]])
        yield f"{rows.where(wrong)}: column {column!r} holds {value}; expected {wanted}"


def _frame(rows: Rows, own: JudgedBy) -> pd.DataFrame:
    first, second = (rows.columns[name] for name in own.columns or ())
    frame = pd.DataFrame({TEXT: first, SECOND: second, INDEX: range(len(rows))})
    if own.score:
        frame[TARGET] = np.array([_score(value) for value in rows.columns[own.score]], np.float32)
    elif own.label:
        frame[TARGET] = np.array([_label(value) for value in rows.columns[own.label]], np.int64)
    return frame


def is_label(value: object) -> bool:
    """Whether it says that two texts are alike, or that they are not."""
    return _label(value) is not None


def _score(value: object) -> float | None:
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _label(value: object) -> int | None:
    return _ALIKE.get(str(value).strip().lower())
