"""Files that sentence encoders are judged by, and the text they learn from."""

from pathlib import Path

import pytest

from pipeline.data import corpus, embedding_sets
from pipeline.data.own.reading import OwnDataError
from pipeline.params import CorpusFile, Data, JudgedBy, Task

SETS = [
    JudgedBy(name="searched", file="searched.csv", columns=["question", "paragraph"]),
    JudgedBy(name="pairs", file="pairs.jsonl", columns=["first", "second"], label="alike"),
    JudgedBy(name="graded", file="graded.tsv", columns=["first", "second"], score="score"),
]
TASK = Task(
    name="made_up",
    kind="embeddings",
    sentence_columns=["text"],
    label_names=[],
    metrics=["recall_at_10"],
    validation_splits=[own.name for own in SETS],
    judged_by=SETS,
    max_length=16,
    selection_fraction=0.1,
)


@pytest.fixture(name="data")
def data_files(tmp_path: Path) -> Data:
    (tmp_path / "text.txt").write_text("One is here. Two is there.\nThree is alone.\nOne is here.\n")
    (tmp_path / "searched.csv").write_text("question,paragraph\nWho?,It was Ann.\nWhere?,It was here.\n")
    (tmp_path / "pairs.jsonl").write_text(
        '{"first": "a", "second": "b", "alike": 1}\n{"first": "c", "second": "d", "alike": false}\n'
    )
    (tmp_path / "graded.tsv").write_text("first\tsecond\tscore\na\tb\t4.5\nc\td\t0\n")
    return Data(source="corpus", root=str(tmp_path), corpus=[CorpusFile(file="text.txt")])


def test_every_set_has_two_texts_a_row_and_what_they_are_judged_by(data: Data) -> None:
    found = embedding_sets.load(TASK, data)
    assert list(found) == ["train", "searched", "pairs", "graded"]
    assert list(found["searched"].columns) == ["text", "text_pair", "idx"]
    assert found["pairs"]["target"].tolist() == [1, 0]
    assert found["pairs"]["target"].dtype.kind == "i"
    assert found["graded"]["target"].tolist() == [4.5, 0.0]
    assert found["graded"]["target"].dtype.kind == "f"


def test_train_has_each_sentence_with_the_number_of_its_text(data: Data) -> None:
    found = embedding_sets.load(TASK, data)["train"]
    assert dict(zip(found["text"], found["whole"], strict=True)) == {
        "One is here.": 2,  # of the last text that has it
        "Two is there.": 0,
        "Three is alone.": 1,
    }


def test_every_fourth_text_of_several_sentences_is_there_whole_too() -> None:
    texts = [f"{name} is here. {name} is there." for name in "ABCDEFGH"] + ["Alone."]
    found = [piece for piece, _ in corpus.numbered_sentences(texts)]
    assert len(found) == 2 * 8 + 1 + 2
    assert [piece for piece in found if piece in texts] == [texts[3], texts[7], "Alone."]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("searched.csv", "question,text\nWho?,Ann.\n", "no column 'paragraph'"),
        (
            "searched.csv",
            "question,paragraph\nWho?,\n",
            "line 2: column 'paragraph' holds ''; expected a text",
        ),
        (
            "graded.tsv",
            "first\tsecond\tscore\na\tb\tmuch\n",
            "line 2: column 'score' holds 'much'; expected a num",
        ),
        ("graded.tsv", "first\tsecond\tscore\na\tb\tnan\n", "expected a number"),
        (
            "pairs.jsonl",
            '{"first": "a", "second": "b", "alike": 2}\n',
            "column 'alike' holds 2; expected 0 or 1",
        ),
        ("searched.csv", "question,paragraph\n", "no rows"),
    ],
)
def test_what_is_wrong_with_a_set_is_told_with_its_line(
    data: Data, tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(OwnDataError) as caught:
        embedding_sets.load(TASK, data)
    assert told in str(caught.value)
    assert name in str(caught.value)


def held_out(share: float) -> Task:
    return TASK.model_copy(update={"judged_by": [JudgedBy(name="own", held_out=share)]})


def test_texts_that_are_held_out_are_asked_for_and_not_learned_from(data: Data, tmp_path: Path) -> None:
    texts = [f"Text {at} is long enough. It is {at}. A third one." for at in range(20)] + ["Alone."]
    (tmp_path / "text.txt").write_text("\n".join(texts))
    found = embedding_sets.load(held_out(0.2), data)
    assert list(found) == ["train", "own"]
    numbers = [int(text.split()[1]) for text in found["own"]["text"]]
    assert len(numbers) == 4
    assert [f"Text {at} is long enough." for at in numbers] == found["own"]["text"].tolist()
    assert [f"It is {at}. A third one." for at in numbers] == found["own"]["text_pair"].tolist()
    learned = {*found["train"]["text"]}
    assert not learned & {*found["own"]["text"], *found["own"]["text_pair"]}
    assert {f"Text {at} is long enough." for at in range(20)} - learned == {*found["own"]["text"]}
    assert embedding_sets.digests(held_out(0.2), data).keys() == {"text.txt"}
    assert embedding_sets.load(held_out(0.2), data)["own"].equals(found["own"])


def test_too_few_texts_of_several_sentences_are_told(data: Data) -> None:
    with pytest.raises(OwnDataError, match=r"1 texts have several sentences, too few to hold out 0\.2"):
        embedding_sets.load(held_out(0.2), data)
