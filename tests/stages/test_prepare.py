"""The stage `prepare`: what it writes for every GLUE task and the demo, and what it refuses."""

from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import pytest

from bitladder import files
from pipeline.data.tables import read_split
from pipeline.kinds.checks import DataError
from pipeline.params import Params
from pipeline.stages import prepare


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def prepared(params: Params) -> Path:
    prepare.run(params, None)
    return Path("data") / params.task.name / "plain"


def task_params(task: str, *overrides: str, train_rows: int = 60) -> Params:
    root = made_up.glue(Path("source"), task, train_rows=train_rows)
    return made_up.task_params(Path(), task, root, *overrides)


@pytest.mark.parametrize("task", made_up.TASKS)
def test_every_task_is_written_with_a_summary_that_is_true(task: str) -> None:
    columns, num_labels, validation = made_up.TASKS[task]
    folder = prepared(task_params(task))
    assert set(files.verify(folder)) == {
        "summary.json",
        *(f"{name}.parquet" for name in ("train", "selection", *validation)),
    }
    summary = files.read_json(folder / "summary.json")
    for name, told in summary["splits"].items():
        frame = read_split(folder, name)
        assert list(frame.columns) == [*columns, "label", "idx"]
        assert frame["label"].dtype == (np.float32 if num_labels is None else np.int64)
        assert told["rows"] == len(frame)
        assert told["sha256"] == files.sha256(folder / f"{name}.parquet")
        if num_labels is not None:
            assert sum(told["labels"].values()) == len(frame)
    assert (summary["splits"]["train"]["rows"], summary["splits"]["selection"]["rows"]) == (48, 12)


def test_the_selection_split_is_held_out_of_train() -> None:
    folder = prepared(task_params("mnli"))
    train, selection = read_split(folder, "train"), read_split(folder, "selection")
    assert not set(train["idx"]) & set(selection["idx"])
    assert sorted([*train["idx"], *selection["idx"]]) == list(range(60))
    assert selection["label"].value_counts().to_dict() == {0: 4, 1: 4, 2: 4}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others() -> None:
    params = task_params("mrpc")
    first = files.verify(prepared(params))
    assert files.verify(prepared(params)) == first
    other = files.verify(prepared(task_params("mrpc", "seed=1")))
    assert other["selection.parquet"] != first["selection.parquet"]
    assert other["validation.parquet"] == first["validation.parquet"]


def test_at_most_so_many_training_rows_are_kept_of_both_labels() -> None:
    folder = prepared(task_params("cola", "data.max_train_rows=20"))
    summary = files.read_json(folder / "summary.json")
    assert summary["train_rows_read"] == 60
    assert summary["splits"]["train"]["labels"] == {"unacceptable": 8, "acceptable": 8}
    assert summary["splits"]["selection"]["labels"] == {"unacceptable": 2, "acceptable": 2}


def test_duplicates_contradictions_and_overlaps_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    params = task_params("cola")
    train = made_up.rows("cola", 60, seed=1).assign(sentence="the same river")
    train.loc[:9, "sentence"] = [f"another river {number}" for number in range(10)]
    made_up.write(Path("source/glue/cola/train.parquet"), train)
    validation = made_up.rows("cola", 12, seed=2)
    validation.loc[:2, "sentence"] = ["The  SAME river", "the same river", "quite another"]
    made_up.write(Path("source/glue/cola/validation.parquet"), validation)
    splits = files.read_json(prepared(params) / "summary.json")["splits"]
    kept = read_split(Path("data/cola/plain"), "train")["sentence"]
    assert splits["train"]["duplicates"] == (kept == "the same river").sum() - 1
    assert splits["train"]["texts_with_two_labels"] == 1
    assert splits["validation"]["rows_also_in_train"] == 2
    assert "prepare cola validation: rows 12, " in capsys.readouterr().out


def test_wrong_rows_are_refused_and_nothing_is_written() -> None:
    params = task_params("rte")
    made_up.write(
        Path("source/glue/rte/train.parquet"), made_up.rows("rte", 60, seed=1).assign(label=list(range(60)))
    )
    with pytest.raises(DataError, match=r"train\.parquet: column 'label', row 2: 2 \(58 such rows\)"):
        prepare.run(params, None)
    assert not Path("data").exists()


def test_a_place_where_the_source_lies_is_in_no_output() -> None:
    folder = prepared(task_params("cola"))
    for path in Path("data").rglob("*"):
        assert path.is_dir() or b"source/glue" not in path.read_bytes()
    assert folder.is_dir()


def test_a_task_without_a_corpus_says_so() -> None:
    prepared(task_params("cola"))
    corpus = Path("data/cola/corpus")
    assert set(files.verify(corpus)) == {"summary.json"}
    assert files.read_json(corpus / "summary.json")["rows"] == 0


def demo_params(*overrides: str) -> Params:
    sizes = {"train_rows": 60, "validation_rows": 20, "corpus_rows": 50}
    return made_up.params(
        Path(), *(f"task.generator.{name}={rows}" for name, rows in sizes.items()), *overrides
    )


def test_the_demo_needs_nothing_from_outside_and_has_a_corpus() -> None:
    folder = prepared(demo_params())
    summary = files.read_json(folder / "summary.json")
    assert {name: told["rows"] for name, told in summary["splits"].items()} == {
        "train": 54,
        "selection": 6,
        "validation": 20,
    }
    assert summary["splits"]["validation"]["rows_also_in_train"] == 0
    corpus = Path("data/demo/corpus")
    assert set(files.verify(corpus)) == {"corpus.parquet", "summary.json"}
    text = read_split(corpus, "corpus")
    assert list(text.columns) == ["text"]
    assert len(text) == 50


def test_the_demo_is_the_same_twice() -> None:
    first = files.verify(prepared(demo_params()))
    corpus = files.verify(Path("data/demo/corpus"))
    assert files.verify(prepared(demo_params())) == first
    assert files.verify(Path("data/demo/corpus")) == corpus


def test_published_rows_are_those_of_the_source() -> None:
    folder = prepared(task_params("stsb"))
    pd.testing.assert_frame_equal(read_split(folder, "validation"), made_up.rows("stsb", 12, seed=2))
