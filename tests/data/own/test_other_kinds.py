"""Own files of tasks whose labels are more than a class a row: several labels, SQuAD's, lists, grades."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import kinds
from pipeline.data.own import labels, loading, other_kinds, reading
from pipeline.data.own.reading import OwnDataError, Rows
from pipeline.params import Files, Task

ANSWERING = {"doc_stride": 4, "max_question_length": 6, "max_answer_length": 5, "unanswerable": True}


def task(kind: str, **changes: Any) -> Task:
    usual = {"name": "custom", "sentence_columns": ["text"], "label_names": [], "metrics": ["accuracy"]}
    rest = {"validation_splits": ["validation"], "max_length": 24, "selection_fraction": 0.1}
    return Task.model_validate({**usual, **rest, "kind": kind, **changes})


LABELS = task("multi_label", label_names=["price", "food"])
QUESTIONS = task("question_answering", sentence_columns=["question", "context"], answering=ANSWERING)


def load(path: Path, own: Task, **columns: str | None) -> pd.DataFrame:
    """All rows of a file as the kind reads them."""
    files = Files(train=str(path), validation=str(path), **columns)
    frame = loading.load(own, files, seed=0).frames["train"]
    return kinds.of(own).read(loading.as_table(frame), own, source="train", training=False)


@pytest.mark.parametrize(
    ("lines", "label"),
    [
        ("text,topics\na b,food|price\nc d,\ne f,food", "topics"),
        ("text,topics\na b,price; food\nc d,\ne f,1", "topics"),
        ("text,price,food\na b,1,1\nc d,0,0\ne f,0,1.0", None),
    ],
)
def test_several_labels_are_one_text_or_columns_of_0_and_1(
    tmp_path: Path, lines: str, label: str | None
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(lines)
    assert load(path, LABELS, text="text", label=label)["label"].tolist() == [[1, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("lines", "label", "told"),
    [
        ("text,topics\na b,food\nc d,fod", "topics", "line 3: column 'topics' holds 'fod'"),
        ("text,price,food\na b,1,2", None, "line 2: column 'food' holds '2'; expected 0 or 1"),
        ("text,price\na b,1", None, "no column 'food'"),
    ],
)
def test_a_label_that_is_none_is_told_with_its_line(
    tmp_path: Path, lines: str, label: str | None, told: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(lines)
    with pytest.raises(OwnDataError) as caught:
        load(path, LABELS, text="text", label=label)
    assert told in str(caught.value)


def squad() -> dict[str, Any]:
    def asked(name: str, question: str, *answers: tuple[str, int]) -> dict[str, Any]:
        found = [{"text": text, "answer_start": start} for text, start in answers]
        return {"id": name, "question": question, "answers": found, "is_impossible": not found}

    first = {"context": "The cat sat.", "qas": [asked("a", "Who?", ("The cat", 0)), asked("b", "Why?")]}
    second = {"context": "A dog ran.", "qas": [asked("c", "What?", ("dog", 2), ("A dog", 0))]}
    return {"version": "v2.0", "data": [{"title": "Cats", "paragraphs": [first, second]}]}


def test_squads_json_is_read_as_it_is_published(tmp_path: Path) -> None:
    path = tmp_path / "train-v2.0.json"
    path.write_text(json.dumps(squad(), indent=1))
    frame = load(path, QUESTIONS, text="question", text_pair="context", label="answers")
    assert frame["id"].tolist() == ["a", "b", "c"]
    assert frame["title"].tolist() == ["Cats"] * 3
    assert frame["answer_texts"].tolist() == [["The cat"], [], ["dog", "A dog"]]
    assert frame["answer_starts"].tolist() == [[0], [], [2, 0]]


def test_an_answer_in_a_column_stands_where_it_says_or_at_its_only_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("q,c,a,answer_start\nWho?,a cat and a cat,cat,12\nWhy?,a dog,dog,\nWhen?,a dog,,\n")
    frame = load(path, QUESTIONS, text="q", text_pair="c", label="a")
    assert frame["answer_texts"].tolist() == [["cat"], ["dog"], []]
    assert frame["answer_starts"].tolist() == [[12], [2], []]
    path.write_text("q,c,a\nWho?,a cat and a cat,cat\n")
    with pytest.raises(OwnDataError, match="line 2: column 'a' holds 'cat', which stands nowhere"):
        load(path, QUESTIONS, text="q", text_pair="c", label="a")


def test_words_with_tags_and_spans_are_lists_of_json_lines(tmp_path: Path) -> None:
    own = task("token_classification", label_names=["O", "B-PER", "I-PER"], metrics=["entity_f1"])
    path = tmp_path / "rows.jsonl"
    path.write_text('{"tokens": ["Ann", "sat"], "tags": ["B-PER", "O"]}\n' * 2)
    by_words = load(path, own, text="tokens", label="tags")
    path.write_text('{"tokens": "Ann sat", "tags": [{"start": 0, "end": 3, "label": "PER"}]}\n' * 2)
    pd.testing.assert_frame_equal(load(path, own, text="tokens", label="tags"), by_words)
    assert by_words["label"].tolist() == [[1, 0], [1, 0]]


def test_all_texts_of_a_query_stay_on_one_side(tmp_path: Path) -> None:
    own = task("reranking", sentence_columns=["query", "text"], metrics=["mrr_at_10"])
    lines = [f"question {at // 4},text {at},{int(at % 4 == 0)}" for at in range(80)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["q,t,right", *lines]))
    files = Files(train=str(path), text="q", text_pair="t", label="right")
    frames = loading.load(own, files, seed=0).frames
    train, validation = (set(frames[name]["query"]) for name in ("train", "validation"))
    assert len(train) + len(validation) == 20
    assert not train & validation


def test_a_number_outside_the_range_is_told_with_its_line(tmp_path: Path) -> None:
    """-1.0 in every third row, and 0 to 100 where 0 to 5 is meant."""
    path = tmp_path / "rows.csv"
    own = task("regression", range=[0, 5], metrics=["pearson"])
    for value in ("-1.0", "80"):
        path.write_text(
            "text,score\n" + "".join(f"t {at},{value if at % 3 == 2 else 2.5}\n" for at in range(9))
        )
        with pytest.raises(OwnDataError, match=r"lines 4, 7, 10: .*expected numbers from 0 to 5"):
            load(path, own, text="text", label="score")


def test_labels_are_found_for_each_kind_that_has_any() -> None:
    rows = Rows("made up", {"one": ["b|a", "", "c; a"], "tags": [["O", "B-X"], ["I-Y"], []]}, [1, 2, 3])
    assert other_kinds.label_names(rows, "one", "multi_label") == ["a", "b", "c"]
    tags = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    assert other_kinds.label_names(rows, "tags", "token_classification") == tags
    rows.columns["spans"] = [[{"start": 0, "end": 1, "label": "X"}], [], []]
    assert other_kinds.label_names(rows, "spans", "token_classification") == ["O", "B-X", "I-X"]
    assert other_kinds.label_names(rows, "one", "regression") == []


def told(path: Path, own: Task, **columns: str | None) -> list[str]:
    with pytest.raises(OwnDataError) as caught:
        load(path, own, **columns)
    assert caught.value.exit_code == 2
    train = [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]
    return train[: len(train) // 2]  # the same file is validation too


TAGS = task("token_classification", label_names=["O", "B-PER", "I-PER"], metrics=["entity_f1"])
WORDS = {"text": ["Ann", "sat"], "label": ["B-PER", "O"]}
SPANS = {"text": "Ann sat", "label": [{"start": 0, "end": 3, "label": "PER"}]}


@pytest.mark.parametrize(
    ("good", "changed", "problem"),
    [
        (WORDS, {"text": None}, "line 2: column 'text' holds None; expected a list of words"),
        (WORDS, {"text": [5, "sat"]}, "line 2: column 'text' holds [5, 'sat']; expected a list of words"),
        (WORDS, {"label": None}, "line 2: column 'label' holds None; expected a list of tags"),
        (WORDS, {"label": [None, "O"]}, "line 2: column 'label' holds [None, 'O']; expected a list of tags"),
        (WORDS, {"label": ["O"]}, "column 'label', line 2: 1 tags for 2 words"),
        (SPANS, {"label": "PER"}, "line 2: column 'label' holds 'PER'; expected a list of spans"),
        (
            SPANS,
            {"label": [[0, 3, "PER"]]},
            "line 2: column 'label' holds [[0, 3, 'PER']]; expected a list of",
        ),
        (SPANS, {"label": [{"start": 0, "end": 9, "label": "PER"}]}, "column 'label', line 2: "),
    ],
)
def test_words_tags_and_spans_that_are_none_are_told_with_their_line(
    tmp_path: Path, good: dict[str, Any], changed: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([json.dumps(good), json.dumps({**good, **changed})]))
    [found] = told(path, TAGS, text="text", label="label")
    assert found.startswith(problem)


def test_places_that_are_written_as_floats_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**SPANS, "label": [{"start": 0.0, "end": 3.0, "label": "PER", "by": 1}]}))
    assert load(path, TAGS, text="text", label="label")["label"].tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"a": ["dog"]}, "line 2: column 'a' holds ['dog']; expected the answer's text, or as SQuAD has it"),
        ({"a": {"text": "dog", "answer_start": 2}}, "line 2: column 'a' holds {'text': 'dog'"),
        ({"answer_start": -1}, "line 2: column 'answer_start' holds -1; expected the number of the answer's"),
        ({"answer_start": 1000}, "column 'a', line 2: 'dog' does not stand at character 1000"),
        ({"id": "1"}, "lines 1, 2: column 'id' holds '1'; expected another one for each question"),
        ({"id": None}, "line 2: column 'id' holds None; expected another one for each question"),
        ({"c": "\ufffd\ufffd", "a": ""}, "column 'c', line 2: "),
    ],
)
def test_answers_that_are_none_are_told_with_their_line(
    tmp_path: Path, changed: dict[str, Any], problem: str
) -> None:
    good = {"id": "1", "q": "Who?", "c": "A dog ran.", "a": "dog", "answer_start": 2.0, "title": 5}
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, [good, {**good, "id": "2", **changed}])))
    [found] = told(path, QUESTIONS, text="q", text_pair="c", label="a")
    assert found.startswith(problem)


@pytest.mark.parametrize("paragraphs", [None, ["x"], [{"context": "A dog.", "qas": None}]])
def test_squads_json_that_is_broken_is_refused(tmp_path: Path, paragraphs: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    assert "expected a list of objects, as SQuAD has it" in reading.read(tmp_path / "a.json").problems[0]


@pytest.mark.parametrize("value", [[None, "food"], [["food"]], {"food": 1}, "['food', 'price']", '["food"]'])
def test_a_list_within_a_list_or_written_as_text_is_no_label(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": "a b", "topics": own}) for own in ("food|price", value)))
    [found] = told(path, LABELS, text="text", label="topics")
    assert found.startswith("line 2: column 'topics' holds ")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.5, 3, 2], (0.5, 3)),
        ([-1, 0, 3.5], (0, 3.5)),
        ([-1, 0, 1], (-1, 1)),
        ([-1, -2, 3], (-2, 3)),
        ([2, 2], None),
    ],
)
def test_the_range_of_a_file_leaves_out_the_mark_of_a_hidden_label(
    values: list[float], found: tuple[float, float] | None
) -> None:
    assert (
        labels.range_of({"train": Rows("made up", {"score": values}, [*range(len(values))])}, "score")
        == found
    )


def test_one_number_in_every_row_is_nothing_to_learn(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,score\na,-1.0\nb,-1.0\n")
    own = task("regression", metrics=["pearson"])
    files = Files(train=str(path), validation=str(path), text="text", label="score")
    with pytest.raises(OwnDataError, match=r"holds '-1\.0' in every row; expected numbers that differ"):
        loading.load(own, files, seed=0)
