"""A person's files: what is read from each format, and every way to be wrong refused with its line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.data.own import labels, loading, reading
from pipeline.data.own.reading import OwnDataError
from pipeline.params import Files, Task

NAMES = ["bad", "fine", "good"]
ROWS = [(f"Text number {number}.", NAMES[number % 3]) for number in range(30)]
LINES = [f"{text},{label}" for text, label in ROWS]


def task(**changes: Any) -> Task:
    usual = {"name": "custom", "kind": "classification", "sentence_columns": ["text"], "label_names": NAMES}
    rest = {"metrics": ["accuracy"], "validation_splits": ["validation"], "max_length": 16}
    return Task(**{**usual, **rest, "selection_fraction": 0.1, **changes})


def write(path: Path, *lines: str, header: str = "review,stars", encoding: str = "utf-8") -> Path:
    path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    return path


def files(path: Path, **more: Any) -> Files:
    return Files(train=str(path), **{"text": "review", "label": "stars", **more})


def problems(path: Path, *, of: Task | None = None, **more: Any) -> list[str]:
    with pytest.raises(OwnDataError) as caught:
        loading.load(of or task(), files(path, **more), seed=0)
    assert caught.value.exit_code == 2
    return caught.value.problems


def frame() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=["review", "stars"])


LATIN = "line 32: 'Caf\\\\xe9,good' is not UTF-8; save the file as UTF-8"
FORMATS: dict[str, Callable[[Path], object]] = {
    "a.csv": lambda path: frame().to_csv(path, index=False),
    "quoted.csv": lambda path: frame().to_csv(path, index=False, quoting=1),
    "semicolons.csv": lambda path: frame().to_csv(path, index=False, sep=";"),
    "from_excel.csv": lambda path: frame().to_csv(
        path, index=False, encoding="utf-8-sig", lineterminator="\r\n"
    ),
    "old.csv": lambda path: frame().to_csv(path, index=False, lineterminator="\r"),
    "a.tsv": lambda path: frame().to_csv(path, index=False, sep="\t"),
    "a.jsonl": lambda path: frame().to_json(path, orient="records", lines=True),
    "list.json": lambda path: frame().to_json(path, orient="records"),
    "a.parquet": lambda path: frame().to_parquet(path),
    "categories.parquet": lambda path: frame().astype({"stars": "category"}).to_parquet(path),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path / name)
    loaded = loading.load(task(), files(tmp_path / name, validation=str(tmp_path / name)), seed=0)
    train = loaded.frames["train"]
    assert list(zip(train["text"], (NAMES[at] for at in train["label"]), strict=True)) == ROWS
    assert train["idx"].tolist() == list(range(30))


def test_a_quoted_text_may_hold_commas_quotes_and_line_ends_and_lines_are_counted(tmp_path: Path) -> None:
    text = 'One, "two"\r\nthree'
    frame().assign(review=text).to_csv(tmp_path / "a.csv", index=False)
    rows = reading.read(tmp_path / "a.csv")
    assert (rows.columns["review"][7], rows.places[:3]) == (text, [2, 4, 6])


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([",good"], "line 32: column 'review' holds ''; expected a text (there is none)"),
        (
            ["\u200b ,good"],
            "line 32: column 'review' holds '\\u200b '; expected at least one visible character",
        ),
        (["nan,good"], "line 32: column 'review' holds 'nan'; expected a text (there is none)"),
        (["Well,"], "line 32: column 'stars' holds no label (''); expected one of bad, fine, good"),
        (["Well,NaN"], "line 32: column 'stars' holds no label ('NaN'); expected one of bad, fine, good"),
        (
            ["Well,goood", "Oh,goood"],
            "lines 32, 33: column 'stars' holds 'goood', which is none of the labels; did you mean 'good'? "
            "expected one of bad, fine, good",
        ),
        (["Well, yes,good"], "line 32: 3 fields, and the header has 2; expected as many"),
        (['"Well,good', "Oh,bad"], "line 32: '\"Well,good': a quote that opens is not closed"),
        (['"Well" they said,good'], "line 32: '\"Well\" they said,good': a quote that opens is not closed"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, lines: list[str], problem: str) -> None:
    path = write(tmp_path / "a.csv", *LINES, *lines)
    found = problems(path)
    assert found[0].startswith(f"{path}: {problem}")
    assert len(found) == 1


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", '"Well,good', *LINES, ",good", "Well,god", "a,b,c")
    other = write(tmp_path / "v.csv", "Well,excellent", header="reviews,stars")
    found = problems(path, validation=str(other))
    assert [problem.removeprefix(f"{tmp_path}/").split(":")[:2] for problem in found] == [
        ["a.csv", " line 2"],
        ["a.csv", " line 35"],
        ["a.csv", " line 33"],
        ["a.csv", " line 34"],
        ["v.csv", " no column 'review'; did you mean 'reviews'? it has 'reviews', 'stars'"],
    ]


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_text(""), "no rows; expected a line of column names"),
        (lambda path: write(path), "no rows; expected at least one"),
        (lambda path: write(path, *LINES, encoding="utf-16"), "is UTF-16"),
        (lambda path: write(path, *LINES, "Café,good", encoding="latin-1"), LATIN),
        (lambda path: write(path, *LINES, header="stars,stars"), "line 1: 'stars' names more than one"),
        (lambda path: write(path, "a,bad", "b,bad"), "column 'stars' holds one class only, 'bad'"),
        (
            lambda path: write(path, "a,bad", "b,bad", "c,fine", "d,good", "e,good"),
            "line 4: column 'stars' holds 'fine' once; expected 2 rows of each class at least",
        ),
        (
            lambda path: write(path, "a,bad", "b,bad", "d,good", "e,good"),
            "no row: column 'stars' holds 'fine' nowhere",
        ),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(tmp_path: Path, made: Callable[[Path], object], problem: str) -> None:
    path = tmp_path / "a.csv"
    made(path)
    assert problems(path)[0].startswith(f"{path}: {problem}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"review": "Well", "stars": "good"', 'line 31: \'{"review": "Well", "stars": "good"\': not JSON'),
        ('["Well", "good"]', "line 31: ['Well', 'good']; expected a JSON object, {...}, on each line"),
        ('{"review": 5, "stars": "good"}', "line 31: column 'review' holds 5; expected text, in quotes"),
        (
            '{"review": "\\ud800", "stars": "good"}',
            "line 31: column 'review' holds '\\ud800'; expected UTF-8",
        ),
        ('{"review": "Well", "stars": NaN}', "line 31: column 'stars' holds no label (nan)"),
        ('{"review": "Well"}', "line 31: column 'stars' holds no label (None)"),
    ],
)
def test_a_wrong_line_of_json_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"review": text, "stars": label}) for text, label in ROWS]
    path.write_text("\n".join([*lines, line]))
    assert problems(path) == [found for found in problems(path) if found.startswith(f"{path}: {problem}")]


def test_other_endings_are_refused(tmp_path: Path) -> None:
    assert "expected one of .csv, .tsv" in problems(tmp_path / "a.xlsx")[0]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["b", "a", "c"], ["a", "b", "c"]),
        ([" b ", "b", "a"], ["a", "b"]),
        (["10", "9", "1"], ["1", "9", "10"]),
        (["1.0", "2", "2.0"], ["1", "2"]),
        (["0.5", "1", "1.5"], ["0.5", "1", "1.5"]),
        (["007", "7"], ["007", "7"]),
        ([True, False], ["false", "true"]),
        ([2, -1], ["-1", "2"]),
    ],
)
def test_words_are_sorted_and_numbers_come_in_their_order(values: list[Any], names: list[str]) -> None:
    rows = reading.Rows("made up", {"stars": values}, list(range(len(values))))
    found, wrong = labels.classes(rows, "stars")
    assert (found, wrong) == (names, [] if values != ["007", "7"] else wrong)
    numbers, wrong = labels.class_numbers(rows, "stars", names)
    assert -1 not in numbers
    assert not wrong


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["1", "2", "good"], "line 3: column 'stars' holds 'good' among numbers; expected all numbers or"),
        ([f"{number / 7:.3f}" for number in range(40)], "looks like a score, not like classes"),
        ([f"word {number}" for number in range(1001)], "1001 different words; expected at most 1000 classes"),
    ],
)  # fmt: skip
def test_what_may_be_no_classes_is_refused(values: list[str], problem: str) -> None:
    rows = reading.Rows("made up", {"stars": values}, list(range(1, len(values) + 1)))
    assert problem in labels.classes(rows, "stars")[1][0]


def test_a_files_own_order_of_classes_is_kept(tmp_path: Path) -> None:
    order = ["good", "fine", "bad"]
    kind = pd.CategoricalDtype([*order, "unused"], ordered=True)
    frame().astype({"stars": kind}).to_parquet(tmp_path / "a.parquet")
    assert labels.classes(reading.read(tmp_path / "a.parquet"), "stars") == (order, [])


def test_numbers_that_the_hubs_metadata_name_are_those_names(tmp_path: Path) -> None:
    order = ["good", "fine", "bad"]
    table = pa.table({"review": ["a", "b"], "stars": [0, 2]})
    features = {"info": {"features": {"stars": {"names": order, "_type": "ClassLabel"}}}}
    pq.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps(features)}), tmp_path / "a.parquet"
    )
    rows = reading.read(tmp_path / "a.parquet")
    assert labels.classes(rows, "stars") == (["good", "bad"], [])
    assert labels.class_numbers(rows, "stars", NAMES) == ([2, 0], [])


def test_numbers_alone_are_places_among_labels_that_are_words() -> None:
    rows = reading.Rows("made up", {"stars": ["0", "2.0", 1]}, [1, 2, 3])
    assert labels.class_numbers(rows, "stars", NAMES) == ([0, 2, 1], [])
    rows.columns["stars"] = ["0", "3", "1"]
    [problem] = labels.class_numbers(rows, "stars", NAMES)[1]
    assert problem.startswith("line 2: column 'stars' holds '3', which is none of the labels")
    rows.columns["stars"] = ["0", "good", "1"]
    assert len(labels.class_numbers(rows, "stars", NAMES)[1]) == 2


def test_numbers_of_a_regression_are_numbers(tmp_path: Path) -> None:
    scored = task(kind="regression", label_names=[], metrics=["pearson"])
    lines = [f"Text {number},{number / 7:.3f}" for number in range(20)]
    loaded = loading.load(scored, files(write(tmp_path / "a.csv", *lines)), seed=0)
    assert {len(loaded.frames["train"]), len(loaded.frames["validation"])} == {16, 4}
    path = write(tmp_path / "b.csv", *lines, "Well,good", "Oh,inf")
    assert problems(path, of=scored) == [
        f"{path}: lines 22, 23: column 'stars' holds 'good'; expected a number"
    ]


def test_what_is_odd_is_told_and_not_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", *LINES, LINES[0], "text NUMBER 1. ,good")
    other = write(tmp_path / "v.csv", LINES[3], "Well,bad")
    notes = loading.load(task(), files(path, validation=str(other)), seed=0).notes
    assert notes == [
        f"{path}: lines 32, 33: text that stood there before",
        f"{path}: line 33: text that stood there before, with another label",
        f"{other}: line 2: text that train has too",
        "validation has no row of fine, good",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("review,stars\n".encode("utf-16-le"), "line 1 holds bytes of 0, as UTF-16 and UTF-32 do"),
        (b"\x1f\x8b\x08\x00", "is compressed (gzip); unpack it first"),
        (b"PK\x03\x04", "is a zip archive, as Excel's files are; save it as CSV"),
        (b"sep=;\nreview;stars\n", "line 1: 'sep=' is a note of Excel's; expected the names of columns"),
    ],
)
def test_a_file_of_another_kind_is_told_by_its_beginning(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert [found.partition("a.csv: ")[2][: len(problem)] for found in problems(tmp_path / "a.csv")] == [
        problem
    ]


def test_a_long_text_is_no_broken_quote_and_columns_without_a_name_are_nothing(tmp_path: Path) -> None:
    long = "A long text. " * 20_000
    lines = [f"{line},," for line in [*LINES, f'"{long}",good']]
    path = write(tmp_path / "a.csv", *lines, header="review,stars,,")
    assert long in reading.read(path).columns["review"]
    assert not reading.read(path).problems


def test_broken_lines_of_json_are_told_up_to_a_number(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{\n}\n" * 1000)
    assert len(reading.read(tmp_path / "a.jsonl").problems) == 20


def test_categories_are_what_they_hold_whatever_their_type_and_piece(tmp_path: Path) -> None:
    """Of numbers too: 1 is not the second one."""
    pd.DataFrame({"stars": pd.Categorical([1, 2, 3])}).to_parquet(tmp_path / "a.parquet")
    rows = reading.read(tmp_path / "a.parquet")
    assert labels.classes(rows, "stars") == (["1", "2", "3"], [])
    assert labels.class_numbers(rows, "stars", ["1", "2", "3"]) == ([0, 1, 2], [])
    pieces = [pa.array(own).dictionary_encode() for own in (["b", "a"], ["c", "a"])]
    schema = pa.schema({"stars": pieces[0].type})
    with pq.ParquetWriter(tmp_path / "b.parquet", schema) as writer:
        for piece in pieces:
            writer.write_table(pa.table({"stars": piece}, schema=schema))
    rows = reading.read(tmp_path / "b.parquet")
    assert labels.classes(rows, "stars") == (["b", "a", "c"], [])


def test_text_that_is_stored_as_bytes_is_read_and_a_name_twice_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"review": [b"Well"], "stars": [b"\xff"]}), tmp_path / "a.parquet")
    assert reading.read(tmp_path / "a.parquet").columns == {"review": ["Well"], "stars": [b"\xff"]}
    twice = pa.Table.from_arrays([pa.array(["a"])] * 2, names=["stars"] * 2)
    pq.write_table(twice, tmp_path / "b.parquet")
    assert reading.read(tmp_path / "b.parquet").problems == [
        "no readable Parquet file: 'stars' names more than one column"
    ]


@pytest.mark.parametrize(
    "values",
    [
        [16225009011, 16225009012],
        ["123456789012345678", "123456789012345679"],
        [0.1234567890123, 0.12345678901],
    ],
)
def test_numbers_that_are_nearly_alike_are_two_classes(values: list[Any]) -> None:
    rows = reading.Rows("made up", {"stars": values * 2}, [1, 2, 3, 4])
    names, wrong = labels.classes(rows, "stars")
    assert (len(names), wrong) == (2, [])
    assert {*labels.class_numbers(rows, "stars", names)[0]} == {0, 1}


@pytest.mark.parametrize("value", [["good"], {"a": 1}, b"\xff", "\ud800"])
def test_a_label_is_a_word_or_a_number(value: Any) -> None:
    rows = reading.Rows("made up", {"stars": ["bad", value]}, [1, 2])
    [problem] = labels.classes(rows, "stars")[1]
    assert problem.startswith("line 2: column 'stars' holds ")
    assert problem.endswith("; expected a word or a number")


def test_a_column_without_any_label_is_refused() -> None:
    rows = reading.Rows("made up", {"stars": [None, ""]}, [1, 2])
    assert labels.classes(rows, "stars")[1] == [
        "lines 1, 2: column 'stars' holds no label (None); expected a word or a number"
    ]


def test_a_list_of_words_is_no_text_of_a_classification(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"review": text, "stars": label}) for text, label in ROWS]
    path.write_text("\n".join([*lines, '{"review": ["Well", "done"], "stars": "good"}']))
    assert problems(path) == [f"{path}: line 31: column 'review' holds ['Well', 'done']; expected text"]


def test_numbers_are_places_only_where_train_has_numbers_too(tmp_path: Path) -> None:
    train, later = write(tmp_path / "a.csv", *LINES), write(tmp_path / "v.csv", "Well,0", "Oh,2")
    [first, _] = problems(train, validation=str(later))
    assert first == (
        f"{later}: line 2: column 'stars' holds '0', which is none of the labels; "
        "expected one of bad, fine, good"
    )
    numbers = write(tmp_path / "n.csv", *(f"Text {at},{at % 3}" for at in range(30)))
    found = loading.load(task(), files(numbers, validation=str(later)), seed=0).frames["validation"]
    assert found["label"].tolist() == [0, 2]


def test_too_few_rows_to_draw_from_are_refused_with_what_would_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", *(f"{line},{line[-1]}" for line in LINES), header="review,stars,g")
    [problem] = problems(path, group="g")
    assert problem.startswith(f"{path}: data.files.validation_fraction: no group of rows can be spared")
    assert problem.endswith("(those with the same 'g' stay together), or a file to judge by: --validation, "
                            "data.files.validation")  # fmt: skip


def test_rows_of_no_group_are_told(tmp_path: Path) -> None:
    lines = [f"{line},{at if at % 5 else ''}" for at, line in enumerate(LINES)]
    path = write(tmp_path / "a.csv", *lines, header="review,stars,g")
    notes = loading.load(task(), files(path, group="g"), seed=0).notes
    assert notes == [f"{path}: lines 2, 7, 12 and 3 more: nothing in 'g'; these rows stay together"]


def test_labels_that_look_alike_are_told_apart() -> None:
    assert labels.few(["\xe9", "e\u0301", "bad"]) == "'\\xe9', 'e\\u0301', bad"
