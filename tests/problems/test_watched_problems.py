"""params.yaml says again which files DVC watches; written by hand, these may be others than those read."""

from pathlib import Path

import made_up
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import repeat
from pipeline.params import NO_FILE, NUM_WATCHED, CorpusFile, Data, Task, Watched
from pipeline.params_file import ParamsError, load

TASK = Task(
    name="texts",
    kind="embeddings",
    sentence_columns=["text"],
    label_names=[],
    metrics=["recall_at_10"],
    validation_splits=["mine"],
    max_length=8,
    selection_fraction=0.1,
)
CHOSEN = ("task=embeddings", "model=minilm", "ladder=embeddings", "data.root=/texts")


def test_the_choices_fill_in_what_is_read(tmp_path: Path) -> None:
    found = made_up.params(tmp_path, *CHOSEN, "data.corpus=[a.txt, /b.txt, {file: c.parquet, columns: [x]}]")
    assert found.watched == Watched.wanted(found.data, found.task)
    assert found.watched.corpus[:4] == ["/texts/a.txt", "/b.txt", "/texts/c.parquet", NO_FILE]
    assert found.watched.judged_by[1] == "/texts/glue/mrpc/validation.parquet"


def test_a_file_that_is_read_and_not_watched_is_refused_with_the_right_one(tmp_path: Path) -> None:
    made_up.params(tmp_path, *CHOSEN, "data.corpus=a.txt")
    path = tmp_path / "params.yaml"
    path.write_text(path.read_text().replace("corpus: a.txt", "corpus: b.txt"))
    with pytest.raises(ParamsError, match=r"watched\.corpus: \[/texts/a.txt, 7 times") as caught:
        load(path)
    assert f"write [/texts/b.txt, 7 times {NO_FILE}]" in str(caught.value)


def test_more_files_than_dvc_can_watch_are_refused(tmp_path: Path) -> None:
    names = ", ".join(f"part{number}.txt" for number in range(NUM_WATCHED + 1))
    with pytest.raises(ParamsError, match=r"data\.corpus: 9 files, and DVC watches 8 at most"):
        made_up.params(tmp_path, *CHOSEN, f"data.corpus=[{names}]")


@given(st.lists(st.sampled_from(["a.txt", "b.txt", "~/c.txt"]), max_size=NUM_WATCHED))
def test_every_place_has_a_path(names: list[str]) -> None:
    data = Data(source="corpus", corpus=[CorpusFile(file=name) for name in names] or None)
    found = Watched.wanted(data, TASK)
    assert (len(found.corpus), len(found.judged_by)) == (NUM_WATCHED, NUM_WATCHED)
    assert not any("~" in path for path in found.corpus)


def test_for_another_folder_they_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given_root = ("task=mrpc", "model=minilm", "data.source=path", "data.root=texts", "data.corpus=a.txt")
    values = made_up.params(tmp_path, *given_root).model_dump(mode="json")
    moved = repeat.in_place(values)["watched"]["corpus"]
    assert moved[0] == str(tmp_path / "texts" / "a.txt")
