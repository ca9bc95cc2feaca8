"""Rows of a file or of standard input, one after the other: never more of it in memory than a row.

A row that cannot be read is a `Bad`, and the next one is read. Lines are counted from 1, as editors do.
"""

import csv
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Literal, get_args

from bitladder import shown
from bitladder.rows.row import Bad, Names, Row, row, row_of_text
from bitladder.text.given import TextError, require_text

STANDARD_INPUT = "-"
Format = Literal["jsonl", "csv", "tsv", "text"]
LONGEST = 1 << 24  # bytes of a line
LONGEST_FIELD = 1 << 20  # characters of a CSV's field: an unclosed quote would take in the rest of the file
_ENDINGS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}
_ENDINGS |= {".tsv": "tsv", ".tab": "tsv"}
_NO_TEXT = (".parquet", ".xlsx", ".xls", ".ods", ".gz", ".zip")


class Lines:
    """The lines of a binary file as text; bytes that are not UTF-8 as PEP 383 has them, for messages.

    Attributes:
        number: of the line that was given last.
        num_bytes: read so far.
        was_cut: the line that was given last is longer than LONGEST, and its end was left out.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.number, self.num_bytes, self.was_cut = file, 0, 0, False

    def __iter__(self) -> Iterator[str]:
        while line := self._read():
            self.number += 1
            self.was_cut = len(line) > LONGEST
            last = line
            while len(last) > LONGEST and not last.endswith(b"\n"):
                last = self._read()
            yield line.decode("utf-8-sig" if self.number == 1 else "utf-8", "surrogateescape")

    def _read(self) -> bytes:
        read = self._file.readline(LONGEST + 1)
        self.num_bytes += len(read)
        return read


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """A file, or standard input. Raises TextError when there is no such file."""
    if file == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        found = Path(file).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise TextError(f"--file: {file}: {error.strerror}") from None
    with found:
        yield found


def where(name: str, bad: Bad) -> str:
    """The file, the line and what is wrong, as a terminal may have it."""
    return f"{shown.printable(name)}, line {bad.number}: {shown.printable(bad.reason)}"


def good(rows: Iterable[Row | Bad], name: str) -> Iterator[Row]:
    """The rows up to a bad one. Raises TextError there."""
    for one in rows:
        if isinstance(one, Bad):
            raise TextError(where(name, one))
        yield one


def format_of(path: str) -> Format:
    """By the ending; anything else, and standard input, are lines of text.

    Raises TextError for what holds none.
    """
    if (ending := Path(path).suffix.lower()) in _NO_TEXT:
        raise TextError(f"--file: {path}: {ending} is not read here; expected CSV, TSV, JSON lines or text")
    return _ENDINGS.get(Path(path).suffix.lower(), "text")


def read(lines: Lines, form: Format, names: Names) -> Iterator[Row | Bad]:
    """Every row in order.

    Raises TextError when a CSV or TSV lacks a column that is needed.
    """
    assert form in get_args(Format)
    if form in ("csv", "tsv"):
        yield from _read_table(lines, ",;\t|" if form == "csv" else "\t", names)
        return
    read_line = _read_json if form == "jsonl" else _read_text
    for line in lines:
        if form == "jsonl" and not line.strip():
            continue
        try:
            if lines.was_cut:
                raise TextError(f"longer than {LONGEST:,} bytes")
            yield read_line(lines.number, line, names)
        except TextError as error:
            yield Bad(lines.number, str(error))


def _read_json(number: int, line: str, names: Names) -> Row:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TextError(f"no JSON: {error}") from None
    if isinstance(value, str):
        return row_of_text(number, value, names)
    if not isinstance(value, dict):
        raise TextError(f"a JSON {type(value).__name__}; an object with {names.text!r}, or a text, is right")
    return row(number, value, names)


def _read_text(number: int, line: str, names: Names) -> Row:
    """A text; where the model reads two, a tab between them."""
    line = line.rstrip("\r\n")
    if names.num_texts != 2:
        return row_of_text(number, line, names)
    texts = line.split("\t")
    if len(texts) != 2:
        raise TextError(f"{len(texts)} texts between tabs; {names.text}, a tab and {names.pair} are right")
    return row(number, dict(zip((names.text, names.pair), texts, strict=True)), names)


def _read_table(lines: Lines, delimiters: str, names: Names) -> Iterator[Row | Bad]:
    """`delimiters`: taken is what gives the header most of the names that are needed, else the first."""
    csv.field_size_limit(LONGEST_FIELD)
    first = next(iter(lines), "")
    splits = {mark: {one.strip(' "\r\n') for one in first.split(mark)} for mark in delimiters}
    delimiter = max(delimiters, key=lambda mark: len(splits[mark] & {*names.needed}))
    table = csv.reader(chain([first] if first else [], lines), delimiter=delimiter)
    try:
        header = [one.strip() for one in next(table, [])]
    except csv.Error as error:
        raise TextError(f"the header: {error}") from None
    require_text("".join(header), "the header")
    if twice := [name for name in names.needed if header.count(name) > 1]:
        raise TextError(f"the header: {', '.join(map(repr, twice))} names more than one column; one is right")
    missing = [name for name in names.needed if name not in header]
    if missing:
        there = ", ".join(map(repr, header[:20])) or "none"
        raise TextError(f"no column {', '.join(map(repr, missing))} (--text, --text-pair); there are {there}")
    for number, found in _numbered(table, lines):
        try:
            if isinstance(found, csv.Error):
                raise TextError(f"{found}: a quote that is not closed?")
            if len(found) != len(header):
                raise TextError(f"{len(found)} fields; the header has {len(header)}")
            yield row(number, dict(zip(header, found, strict=True)), names)
        except TextError as error:
            yield Bad(number, str(error))


def _numbered(table: Iterable[list[str]], lines: Lines) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Each row that is not empty with the line that it begins on, or why it is none."""
    rows = iter(table)
    while True:
        begins = lines.number + 1
        try:
            if found := next(rows):
                yield begins, found
        except StopIteration:
            return
        except csv.Error as error:
            yield begins, error


def size(file: IO[bytes]) -> int | None:
    """Bytes of a regular file; None of a pipe or a terminal."""
    state = os.fstat(file.fileno())
    return state.st_size if stat.S_ISREG(state.st_mode) else None
