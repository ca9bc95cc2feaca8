"""Rows come out of a file as they were put in; one that is bad is told by its line and spoils no other."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitladder.rows import reading
from bitladder.rows.reading import Format, Lines
from bitladder.rows.row import Bad, Names, Row
from bitladder.text.given import TextError

SINGLE, PAIRS, EITHER = (Names("text", "text_pair", number) for number in (1, 2, None))
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    str.strip
)
ON_A_LINE = TEXT.filter(lambda text: not set("\r\n") & set(text))


def read(content: bytes, form: Format, names: Names = SINGLE) -> list[Row | Bad]:
    return list(reading.read(Lines(io.BytesIO(content)), form, names))


def bad(content: bytes, form: Format, names: Names = SINGLE) -> list[tuple[int, str]]:
    return [(one.number, one.reason) for one in read(content, form, names) if isinstance(one, Bad)]


@settings(max_examples=30)
@given(st.lists(st.tuples(TEXT, TEXT)), st.booleans())
def test_json_lines_come_back(pairs: list[tuple[str, str]], is_ascii: bool) -> None:
    lines = [json.dumps({"text": a, "text_pair": b, "id": 3}, ensure_ascii=is_ascii) for a, b in pairs]
    found = read("\n".join(lines).encode(), "jsonl", PAIRS)
    assert found == [Row(number, *pair) for number, pair in enumerate(pairs, 1)]


@settings(max_examples=30)
@given(st.lists(st.tuples(TEXT, TEXT)), st.sampled_from([("csv", ","), ("tsv", "\t")]))
def test_tables_come_back(pairs: list[tuple[str, str]], written: tuple[Format, str]) -> None:
    form, delimiter = written
    file = io.StringIO(newline="")
    table = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
    table.writerows([("id", "text", "text_pair"), *((7, *pair) for pair in pairs)])
    found = read(file.getvalue().encode(), form, PAIRS)
    assert [(row.text, row.pair) for row in found if isinstance(row, Row)] == pairs


@settings(max_examples=30)
@given(st.lists(ON_A_LINE))
def test_lines_of_text_come_back(texts: list[str]) -> None:
    found = read("".join(f"{text}\n" for text in texts).encode(), "text")
    assert found == [Row(number, text) for number, text in enumerate(texts, 1)]


def test_a_model_of_pairs_reads_a_tab_between_them() -> None:
    assert read(b"a b\tc\n", "text", PAIRS) == [Row(1, "a b", "c")]
    assert bad(b"a\n", "text", PAIRS) == [(1, "1 texts between tabs; text, a tab and text_pair are right")]


def test_where_a_file_does_not_say_how_many_texts_a_row_may_have_a_pair() -> None:
    found = read(b'{"text": "a"}\n{"text": "a", "text_pair": "b"}\n"c"\n', "jsonl", EITHER)
    assert found == [Row(1, "a"), Row(2, "a", "b"), Row(3, "c")]


def test_a_row_of_a_table_is_told_by_the_line_that_it_begins_on() -> None:
    found = read(b'\xef\xbb\xbfid,text\r\n1,"a\nb"\r\n2\r\n3,c\r\n', "csv")
    assert found == [Row(2, "a\nb"), Bad(4, "1 fields; the header has 2"), Row(5, "c")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\n", "text: empty"),
        (b"a \xff b\n", "text: the byte 0xff at character 2 is not UTF-8, as texts are"),
    ],
)
def test_a_bad_line_of_text_stops_nothing(line: bytes, reason: str) -> None:
    assert read(b"one\n" + line + b"two\n", "text") == [Row(1, "one"), Bad(2, reason), Row(3, "two")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no JSON: "),
        (b"[" * 100_000, "no JSON: "),
        (b"[1]", "a JSON list; "),
        (b'{"txt": "a"}', "text: not there; there is 'txt'"),
        (b'{"text": 3}', "text: 3 is no text, but a int"),
        (b'{"text": " "}', "text: empty"),
        (b'{"text": "a", "text_pair": "b"}', "text_pair: the model reads single texts; leave it out"),
        (b'"\\ud800"', "text: the lone surrogate U+D800"),
    ],
)
def test_a_bad_line_of_json_stops_nothing(line: bytes, reason: str) -> None:
    first, found, last = read(b'"one"\n' + line + b'\n"two"\n', "jsonl")
    assert (first, last) == (Row(1, "one"), Row(3, "two"))
    assert isinstance(found, Bad)
    assert (found.number, found.reason[: len(reason)]) == (2, reason)


def test_a_line_without_end_is_bad_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST", 10)
    assert read(b"a" * 1000 + b"\nshort\n", "text") == [Bad(1, "longer than 10 bytes"), Row(2, "short")]


def test_a_quote_that_is_not_closed_does_not_take_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_FIELD", 50)
    rows = b"".join(b"1,row %d\n" % number for number in range(50))
    found = read(b'id,text\n1,"open\n' + rows, "csv")
    assert isinstance(found[0], Bad)
    assert found[0].number == 2
    assert "quote" in found[0].reason
    assert found[-1] == Row(52, "row 49")


def test_a_table_without_the_column_is_refused_with_those_there_are() -> None:
    with pytest.raises(TextError, match=r"no column 'text' .* there are 'id', 'review'"):
        read(b"id,review\n1,a\n", "csv")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"text,text\n1,a\n", "the header: 'text' names more than one column"),
        ("id,text\n1,a\n".encode("utf-16"), "the header: the byte 0xff at character 0 is not UTF-8"),
    ],
)
def test_a_header_that_says_nothing_clear_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(TextError, match=reason):
        read(content, "csv")


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_table_may_be_separated_otherwise_and_names_have_no_blanks(mark: str) -> None:
    lines = [["id", " text "], ["1", '"a; b, c"'], ["2", "d"]]
    content = "\n".join(map(mark.join, lines)).encode()
    assert read(content, "csv") == [Row(2, "a; b, c"), Row(3, "d")]


@pytest.mark.parametrize("name", ["a.parquet", "a.xlsx", "a.csv.gz"])
def test_what_holds_no_lines_is_refused_by_its_ending(name: str) -> None:
    with pytest.raises(TextError, match="is not read here; expected CSV, TSV, JSON lines or text"):
        reading.format_of(name)


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.JSONL", "jsonl"), ("a.csv", "csv"), ("a.tsv", "tsv"), ("a.txt", "text"), ("-", "text")],
)
def test_the_ending_says_how_a_file_is_read(name: str, form: Format) -> None:
    assert reading.format_of(name) == form
