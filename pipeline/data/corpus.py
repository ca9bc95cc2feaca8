"""Plain text for general rungs: `data.corpus`, cut into pieces of one or several sentences.

Each text is cut at its sentences' ends, and neighbouring sentences are put together again up to a number of
words that is drawn anew for each piece: most tasks have short rows and some long ones, and so has this. Or
(`data.pieces: sentences`) each sentence is a piece, and so is every fourth of the texts that have several:
for encoders, which are asked for the vectors of both. All of them would take most of the tokens.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.data.own import reading
from pipeline.data.own.texts import missing_columns, text_problems
from pipeline.data.tables import read_split, read_table
from pipeline.kinds.checks import DataError
from pipeline.params import CorpusFile, Data, Task
from pipeline.problems.problem import from_here

MOST_WORDS = 40  # of a piece, unless one sentence has more
WHOLE_TEXTS = 4  # one of so many
_END_OF_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")


def read(data: Data, task: Task, seed: int) -> list[str]:
    """All pieces, each once, in the order of the files.

    Raises:
        IntegrityError: a Parquet file is torn.
        DataError: a file or a column is missing or holds no text; every problem is told.
    """
    texts = texts_of(data, task)
    if data.pieces == "sentences":
        return list(dict(numbered_sentences(texts)))
    return list(dict.fromkeys(pieces(texts, seed=seed)))


def texts_of(data: Data, task: Task) -> list[str]:
    """The texts as they are, each once. Raises as `read` does."""
    if data.corpus is None:  # the demo's own
        texts: Iterable[str] = read_split(paths.data_dir(task.name, "corpus"), "corpus")["text"]
    else:
        texts = _texts(data)
    found = dict.fromkeys(" ".join(text.split()) for text in texts)
    if not any(found):
        raise DataError(["data.corpus: there is no text in it"])
    return list(filter(None, found))


def pieces(texts: Iterable[str], *, seed: int) -> Iterator[str]:
    """The texts cut into pieces of whole sentences."""
    generator = np.random.default_rng(seed)
    for text in dict.fromkeys(texts):
        kept, most = list[str](), generator.integers(1, MOST_WORDS, endpoint=True)
        for sentence in filter(None, _END_OF_SENTENCE.split(text)):
            if kept and _num_words(kept) + _num_words([sentence]) > most:
                yield " ".join(kept)
                kept, most = [], generator.integers(1, MOST_WORDS, endpoint=True)
            kept.append(sentence)
        if kept:
            yield " ".join(kept)


def numbered_sentences(texts: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The sentences of each text, and every fourth text that has several; with the number of its text."""
    several = 0
    for number, text in enumerate(texts):
        own = sentences_of(text)
        yield from ((sentence, number) for sentence in own)
        several += len(own) > 1
        if len(own) > 1 and several % WHOLE_TEXTS == 0:
            yield text, number


def sentences_of(text: str) -> list[str]:
    return [sentence for sentence in _END_OF_SENTENCE.split(text) if sentence]


def _texts(data: Data) -> Iterator[str]:
    tables = [_table(data.path_of(file.file), file) for file in data.corpus or ()]
    if problems := [table for table in tables if isinstance(table, str)]:
        raise DataError(problems)
    for table in tables:
        assert isinstance(table, pa.Table)
        for column in table.columns:
            yield from (text for text in column.to_pylist() if text)


def _table(path: Path, file: CorpusFile) -> pa.Table | str:
    """The file's text columns; or, as a sentence, what is wrong with it."""
    if not path.is_file():
        return f"{path}: no such file{from_here(path)}"
    if path.suffix.lower() in reading.ENDINGS and path.suffix != ".parquet":
        return _of_rows(path, file.columns)
    if path.suffix != ".parquet":
        if file.columns:
            return f"{path}: columns {', '.join(file.columns)}, but it has a text a line; leave columns out"
        try:
            return pa.table({"text": path.read_text(encoding="utf-8").splitlines()})
        except UnicodeDecodeError as error:
            return f"{path}: byte {error.start} is not UTF-8"
    kinds = {field.name: field.type for field in pq.read_schema(path)}
    text = [
        name for name, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)
    ]
    if wrong := [name for name in file.columns if name not in text]:
        return f"{path}: no text column {', '.join(wrong)}; text columns: {', '.join(text) or 'none'}"
    if not file.columns and len(text) != 1:
        return f"{path}: say which columns hold the text; text columns: {', '.join(text) or 'none'}"
    return read_table(path).select(file.columns or text)


def _of_rows(path: Path, columns: list[str]) -> pa.Table | str:
    """The same of CSV, TSV and JSON lines."""
    rows = reading.read(path, columns)
    problems = rows.problems or [*missing_columns(rows, columns)]
    if not columns and not problems:
        problems = [f"say which columns hold the text; it has {', '.join(rows.columns)}"]
    problems = problems or [one for name in columns for one in text_problems(rows, name)]
    return (
        f"{path}: {'; '.join(problems)}"
        if problems
        else pa.table({name: rows.columns[name] for name in columns})
    )


def _num_words(sentences: list[str]) -> int:
    return sum(sentence.count(" ") + 1 for sentence in sentences)
