"""The rows of a person's own file, each with the line it stands on, whatever of the four formats it has.

Rows are read by Python's csv and json, because a message has to name a line: pandas and Arrow know rows only,
and a quoted text may hold line ends. A byte order mark and any kind of line end (Excel writes both) are no
part of a value. What cannot be read is a problem with its line, and the rows after it are read all the same.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa

from bitladder.files import IntegrityError
from pipeline.data.tables import read_table
from pipeline.kinds.checks import DataError, is_text
from pipeline.problems.problem import listed

ENDINGS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet")
_SHOWN = 3  # of many places alike
_LONGEST_VALUE = 60
_MOST_UNREADABLE = 20  # records, before the rest of a file is left unread
_LONGEST_FIELD = 2**31 - 1  # characters; without a limit of csv's own, a long text is no broken quote
_BEGINNINGS = {  # of files that are no text
    b"\xff\xfe": "is UTF-16 or UTF-32 (its byte order mark says so); save it as UTF-8",
    b"\xfe\xff": "is UTF-16 (its byte order mark says so); save it as UTF-8",
    b"\x1f\x8b": "is compressed (gzip); unpack it first",
    b"PK\x03\x04": "is a zip archive, as Excel's files are; save it as CSV",
    b"PAR1": "is a Parquet file; name it .parquet",
}


class OwnDataError(DataError):
    """A person's file cannot be used; every reason is told."""

    exit_code = 2


@dataclass
class Rows:
    """A file's rows as they stand there.

    Attributes:
        source: the file, for messages.
        columns: values by column name, in the file's order; None where nothing stands, bytes where
            text is not UTF-8.
        places: the line on which each row begins, from 1; of Parquet and of a JSON list, its number from 1.
        unit: what a place is called.
        names: of columns whose classes the file itself names in their order.
        problems: what could not be read.
    """

    source: str
    columns: dict[str, list[Any]] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    unit: str = "line"
    names: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.places)

    def where(self, rows: Sequence[int]) -> str:
        """`line 7`, or `lines 7, 9, 12 and 40 more`."""
        return places(self.unit, [self.places[row] for row in rows])


def places(unit: str, numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return f"{unit}{'s' if len(numbers) > 1 else ''} {listed(numbers[:_SHOWN])}{more}"


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def read(path: Path, wanted: Sequence[str] = ()) -> Rows:
    """The rows of a file; never raises for what is in it. `wanted`: columns, by which separators are told."""
    path = _shortest(path)
    if path.is_dir():
        return _none(path, "is a folder; expected a file")
    if path.suffix.lower() not in ENDINGS:
        hint = "; save it as CSV first" if path.suffix.lower() in (".xlsx", ".xls", ".ods") else ""
        return _none(path, f"cannot be read by its ending; expected one of {listed(ENDINGS)}{hint}")
    if not path.is_file():
        return _none(path, "no such file" if not path.exists() else "is no regular file; expected one")
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    rows = Rows(str(path))
    text = _text(path, rows)
    if text is None:
        return rows
    if path.suffix.lower() in (".csv", ".tsv", ".tab"):
        _separated(rows, text, _separator(path, text, wanted))
    elif path.suffix.lower() == ".json" and text.lstrip().startswith("["):
        _json_list(rows, text)
    elif path.suffix.lower() == ".json" and (articles := _squad(text)) is not None:
        rows.unit, made = "question", [row for one in articles for row in _of_article(one, rows)]
        rows.places = list(range(1, len(made) + 1))
        _as_columns(rows, made)
    else:
        _json_lines(rows, text)
    return rows


def _shortest(path: Path) -> Path:
    """As a person would call it: from the working directory where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path


def _none(path: Path, problem: str) -> Rows:
    return Rows(str(path), problems=[problem])


def _text(path: Path, rows: Rows) -> str | None:
    """The file as text, a byte order mark left out; None, and a problem, where it is not UTF-8."""
    try:
        content = path.read_bytes()
    except OSError as error:
        rows.problems.append(f"cannot be read: {error.strerror}")
        return None
    found = [what for start, what in _BEGINNINGS.items() if content.startswith(start)]
    if not found and b"\0" in content.partition(b"\n")[0]:
        found = ["line 1 holds bytes of 0, as UTF-16 and UTF-32 do; save the file as UTF-8"]
    if found:
        rows.problems.append(found[0])
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        lines = content.split(b"\n")
        wrong = [number for number, line in enumerate(lines, 1) if not _is_utf8(line)]
        value = shown(lines[wrong[0] - 1].decode("utf-8", "backslashreplace").strip())
        rows.problems.append(
            f"{places('line', wrong)}: {value} is not UTF-8; save the file as UTF-8 (it may be Windows-1252)"
        )
        return None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _separator(path: Path, text: str, wanted: Sequence[str]) -> str:
    """A tab for TSV; for CSV what gives the header the wanted columns, a comma unless something else does."""
    if path.suffix.lower() != ".csv":
        return "\t"
    header = text.splitlines()[0] if text.strip() else ""
    splits = {mark: {one.strip(' "') for one in header.split(mark)} for mark in (",", ";", "\t", "|")}
    known = {mark: len(names & {*wanted}) for mark, names in splits.items()}
    if not any(known.values()) and len(splits[","]) == 1:
        known = {mark: len(names) for mark, names in splits.items()}
    return max(known, key=lambda mark: known[mark])


def _separated(rows: Rows, text: str, separator: str) -> None:
    csv.field_size_limit(_LONGEST_FIELD)
    records = _records(list(StringIO(text, newline="")), separator, rows)
    _, header = next(records, (1, []))
    names = [name.strip() for name in header]
    if names and names[0].lower().startswith("sep="):
        rows.problems.append(f"line 1: {shown(names[0])} is a note of Excel's; expected the names of columns")
        return
    _refuse_header(rows, names)
    found: list[list[str]] = []
    uneven: dict[int, list[int]] = {}
    for place, fields in records:
        if len(fields) != len(names):
            uneven.setdefault(len(fields), []).append(place)
        else:
            rows.places.append(place)
            found.append(fields)
    for number, lines in uneven.items():
        rows.problems.append(
            f"{places('line', lines)}: {number} fields, and the header has {len(names)}; expected as many "
            f"(a field that holds {separator!r} stands in double quotes)"
        )
    rows.columns = {name: [fields[at] for fields in found] for at, name in enumerate(names)}


def _records(lines: list[str], separator: str, rows: Rows) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it begins on; after one that cannot be read, the next line begins another."""
    start = 0
    while start < len(lines) and len(rows.problems) < _MOST_UNREADABLE:
        reader = csv.reader(lines[start:], delimiter=separator, strict=True)
        begun = start
        try:
            for fields in reader:
                if any(one.strip() for one in fields):
                    yield begun + 1, fields
                begun = start + reader.line_num
            return
        except csv.Error:
            rows.problems.append(_explained(begun + 1, start + reader.line_num, lines[begun]))
            start = begun + 1


def _explained(begun: int, noticed: int, line: str) -> str:
    where = f" (noticed on line {noticed})" if noticed > begun else ""
    return (
        f"line {begun}: {shown(line.strip())}: a quote that opens is not closed as it should be{where}"
        '; expected "..." around a whole field, with "" for a quote inside it'
    )


def _refuse_header(rows: Rows, names: list[str]) -> None:
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        rows.problems.append(f"line 1: {listed(map(repr, twice))} names more than one column; expected one")
    if not names:
        rows.problems.append("no rows; expected a line of column names and a row a line after it")


def _json_lines(rows: Rows, text: str) -> None:
    made: list[dict[str, Any]] = []
    for place, line in enumerate(text.split("\n"), 1):
        if len(rows.problems) >= _MOST_UNREADABLE:
            break
        if not line.strip():
            continue
        value = _json(line, f"line {place}: {shown(line.strip())}: ", rows)
        if isinstance(value, dict):
            made.append(value)
            rows.places.append(place)
        elif value is not _BROKEN:
            rows.problems.append(
                f"line {place}: {shown(value)}; expected a JSON object, {{...}}, on each line"
            )
    _as_columns(rows, made)


def _json_list(rows: Rows, text: str) -> None:
    value, rows.unit = _json(text, "", rows), "row"
    made = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
    rows.places = list(range(1, len(made) + 1))
    if isinstance(value, list) and len(made) < len(value):
        rows.problems.append("holds something that is no JSON object; expected a list of objects")
    _as_columns(rows, made)


def _squad(text: str) -> list[Any] | None:
    """The articles of a file as SQuAD publishes it; None when it is another file."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    articles = found.get("data") if isinstance(found, dict) else None
    is_squad = isinstance(articles, list) and all(
        isinstance(one, dict) and "paragraphs" in one for one in articles
    )
    return articles if is_squad else None


def _dicts(value: Any, what: str, rows: Rows) -> list[dict[str, Any]]:
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return value
    rows.problems.append(f"{what!r} holds {shown(value)}; expected a list of objects, as SQuAD has it")
    return []


def _of_article(article: dict[str, Any], rows: Rows) -> Iterator[dict[str, Any]]:
    """A row for each question."""
    for paragraph in _dicts(article["paragraphs"], "paragraphs", rows):
        for asked in _dicts(paragraph.get("qas", []), "qas", rows):
            yield {
                "id": asked.get("id"),
                "title": article.get("title") or paragraph.get("context"),
                "context": paragraph.get("context"),
                "question": asked.get("question"),
                "answers": asked.get("answers") or [],
            }


_BROKEN = object()


def _json(text: str, where: str, rows: Rows) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        said = str(error).partition(" (char")[0]
        rows.problems.append(f"{where}not JSON ({said}); expected an object, {{...}}")
    except RecursionError:
        rows.problems.append(f"{where}nested too deeply; expected an object of texts and labels")
    return _BROKEN


def _as_columns(rows: Rows, made: list[dict[str, Any]]) -> None:
    names = dict.fromkeys(name for one in made for name in one)
    rows.columns = {name: [one.get(name) for one in made] for name in names}
    if not made and not rows.problems:
        rows.problems.append("no rows; expected at least one")


def _parquet(path: Path) -> Rows:
    rows = Rows(str(path), unit="row")
    try:
        table = read_table(path, categories=True)
    except IntegrityError as error:
        rows.problems.append(str(error).removeprefix(f"{path}: ").partition("\n")[0])
        return rows
    try:
        names = table.column_names
    except UnicodeDecodeError as error:
        rows.problems.append(f"the name of a column is not UTF-8: {error}")
        return rows
    rows.places = list(range(1, table.num_rows + 1))
    rows.names = _names(table.schema)
    for name in names:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column, values = column.cast(column.type.value_type), column.unify_dictionaries()
            if is_text(column.type) and values.num_chunks:
                rows.names[name] = [one for one in values.chunk(0).dictionary.to_pylist() if one is not None]
        rows.columns[name] = _values(column)
    return rows


def _values(column: pa.ChunkedArray) -> list[Any]:
    """As Python has them; text that is not UTF-8 stays bytes. Some writers mark no text as such."""
    if not (is_text(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return list(column.to_pylist())
    raw = column.cast(pa.large_binary()).to_pylist()
    return [value if value is None or not _is_utf8(value) else value.decode() for value in raw]


def _names(schema: pa.Schema) -> dict[str, list[str]]:
    """Classes that the Hub's data sets name in a file's own metadata: their labels are numbers of these."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
