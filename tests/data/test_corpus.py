"""Plain text for general rungs: which files it is read from, how it is cut, and what is refused."""

from pathlib import Path

import made_up
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data import corpus
from pipeline.kinds.checks import DataError
from pipeline.params import Data, Params

sentences = st.lists(
    st.integers(1, 30).map(lambda count: " ".join(["Word", *["word"] * (count - 1)]) + "."),
    min_size=1,
    max_size=9,
)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    made_up.write(Path("rows.parquet"), pd.DataFrame({"text": ["One.", "Two."], "number": [1, 2]}))
    made_up.write(
        Path("pairs.parquet"), pd.DataFrame({"id": ["a"], "first": ["Three."], "second": ["Four."]})
    )
    Path("lines.txt").write_text("Five.\n\nSix.  It has two\tsentences.\nFive.\n", encoding="utf-8")
    return made_up.params(tmp_path)


def read(params: Params, files: object, root: str | None = None) -> list[str]:
    data = Data.model_validate({"source": "path", "root": root, "corpus": files})
    return corpus.read(data, params.task, seed=0)


@given(texts=st.lists(sentences.map(" ".join), max_size=5), seed=st.integers(0, 9))
def test_pieces_hold_every_sentence_in_order_and_none_is_cut(texts: list[str], seed: int) -> None:
    whole = " ".join(dict.fromkeys(texts))
    found = list(corpus.pieces(texts, seed=seed))
    assert " ".join(found) == whole
    for piece in found:
        assert piece.endswith(".")
        assert piece.count(" ") < corpus.MOST_WORDS or piece.count(".") == 1


def test_the_same_seed_cuts_the_same_pieces_and_another_one_others() -> None:
    texts = [" ".join(f"Sentence {number} of a long text." for number in range(60))]
    assert list(corpus.pieces(texts, seed=1)) == list(corpus.pieces(texts, seed=1))
    assert list(corpus.pieces(texts, seed=1)) != list(corpus.pieces(texts, seed=2))
    lengths = {piece.count(".") for piece in corpus.pieces(texts, seed=1)}
    assert min(lengths) < max(lengths)


def test_an_abbreviation_in_lower_case_ends_no_sentence() -> None:
    [piece] = corpus.pieces(["It weighs approx. two tons, e.g. as much as a car."], seed=0)
    assert piece == "It weighs approx. two tons, e.g. as much as a car."


def test_files_of_both_kinds_are_read_and_each_text_once(task: Params) -> None:
    files = ["rows.parquet", {"file": "pairs.parquet", "columns": ["first", "second"]}, "lines.txt"]
    found = " ".join(read(task, files))
    assert found == "One. Two. Three. Four. Five. Six. It has two sentences."


def test_one_file_needs_no_list_and_lies_below_the_root(task: Params) -> None:
    Path("below").mkdir()
    Path("lines.txt").rename("below/lines.txt")
    assert read(task, "lines.txt", root="below")[0] == "Five."


def test_every_wrong_file_is_told_at_once(task: Params) -> None:
    Path("latin.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(DataError) as refused:
        read(
            task,
            [
                "pairs.parquet",
                {"file": "pairs.parquet", "columns": ["first", "third"]},
                {"file": "lines.txt", "columns": ["text"]},
                "latin.txt",
                "nowhere.txt",
            ],
        )
    *found, missing = refused.value.problems
    assert missing.startswith(f"nowhere.txt: no such file in {Path.cwd()}; it is a relative path")
    assert found == [
        "pairs.parquet: say which columns hold the text; text columns: id, first, second",
        "pairs.parquet: no text column third; text columns: id, first, second",
        "lines.txt: columns text, but it has a text a line; leave columns out",
        "latin.txt: byte 0 is not UTF-8",
    ]


def test_no_text_is_no_corpus(task: Params) -> None:
    Path("empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"data\.corpus: there is no text in it"):
        read(task, "empty.txt")


def test_columns_of_a_table_are_texts(task: Params) -> None:
    Path("notes.csv").write_text('id,note\n1,"Seven, or\neight."\n2,Nine.\n', encoding="utf-8")
    Path("notes.jsonl").write_text('{"note": "Ten."}\n', encoding="utf-8")
    files = [{"file": name, "columns": ["note"]} for name in ("notes.csv", "notes.jsonl")]
    assert " ".join(read(task, files)) == "Seven, or eight. Nine. Ten."


@pytest.mark.parametrize(
    ("content", "columns", "told"),
    [
        ("a,b\nOne.,Two.\n", [], "say which columns hold the text; it has a, b"),
        ("a,b\nOne.,Two.\n", ["c"], "no column 'c'"),
        ("a,b\nOne.,Two.\n,Three.\n", ["a"], "line 3: column 'a' holds ''; expected a text"),
    ],
)
def test_a_table_that_does_not_fit_says_so(task: Params, content: str, columns: list[str], told: str) -> None:
    Path("notes.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"notes\.csv: ") as refused:
        read(task, [{"file": "notes.csv", "columns": columns}])
    assert told in str(refused.value)
