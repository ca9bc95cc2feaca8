"""Every GLUE task and SQuAD load from the Hub's layout, from a folder and through `datasets`."""

import os
import subprocess
import sys
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_up import CONF, TASKS, glue, rows, write
from ruamel.yaml import YAML

from bitladder.files import IntegrityError
from pipeline.data.hub import HubError
from pipeline.data.sources import read
from pipeline.kinds.checks import DataError
from pipeline.kinds.columns import QUESTION_COLUMNS
from pipeline.kinds.question_checks import checked
from pipeline.params import Data, Task

REVISION = "0" * 40


def task_of(name: str) -> Task:
    return Task(**YAML(typ="safe").load((CONF / "task" / f"{name}.yaml").read_text())["task"])


def from_folder(root: Path, name: str) -> dict[str, pd.DataFrame]:
    return read(task_of(name), Data(source="path", root=str(root)))


def from_hub(name: str, repository: str) -> dict[str, pd.DataFrame]:
    return read(task_of(name), Data(source="hub", repository=repository, revision=REVISION))


@pytest.mark.parametrize("task", TASKS)
def test_a_task_loads_with_its_columns_labels_and_labelled_splits(tmp_path: Path, task: str) -> None:
    columns, num_labels, validation = TASKS[task]
    splits = from_folder(glue(tmp_path, task), task)
    assert list(splits) == ["train", *validation]
    for name, frame in splits.items():
        assert list(frame.columns) == [*columns, "label", "idx"]
        assert frame["label"].dtype == (np.float32 if num_labels is None else np.int64)
        assert len(frame) == (60 if name == "train" else 12)
    pd.testing.assert_frame_equal(splits["train"], rows(task, 60, seed=1))


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    root = glue(tmp_path, "mnli")
    (root / "glue/mnli/validation_mismatched.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"glue/mnli/validation_mismatched\.parquet: no such file"):
        from_folder(root, "mnli")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"sentence\tlabel\n"])
def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    root = glue(tmp_path, "cola")
    (root / "glue/cola/train.parquet").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"glue/cola/train\.parquet"):
        from_folder(root, "cola")


def test_problems_of_all_splits_are_told_at_once(tmp_path: Path) -> None:
    root = glue(tmp_path, "mnli")
    for split, label in (("train", 3), ("validation_matched", -1)):
        write(root / f"glue/mnli/{split}.parquet", rows("mnli", 12, seed=0).assign(label=label))
    write(root / "glue/mnli/validation_mismatched.parquet", rows("mnli", 12, seed=0).drop(columns="premise"))
    with pytest.raises(DataError) as caught:
        from_folder(root, "mnli")
    told = caught.value.problems
    assert len(told) == 3
    assert (
        "glue/mnli/train.parquet: column 'label', row 0: 3 (12 such rows); expected integers 0..2" in told[0]
    )
    assert "validation_matched.parquet" in told[1]
    assert "no column 'premise'" in told[2]


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    root = glue(tmp_path, "cola")
    write(root / "glue/cola/validation.parquet", rows("cola", 12, seed=0).iloc[:0])
    with pytest.raises(DataError, match=r"validation\.parquet: no rows"):
        from_folder(root, "cola")


def test_labels_of_the_test_split_are_refused_where_labels_are_needed(tmp_path: Path) -> None:
    root = glue(tmp_path, "cola")
    (root / "glue/cola/test.parquet").replace(root / "glue/cola/validation.parquet")
    with pytest.raises(DataError, match=r"row 0: -1 \(8 such rows\)"):
        from_folder(root, "cola")


@pytest.mark.parametrize("task", ["mnli", "stsb"])
def test_the_hub_gives_the_same_rows_as_a_folder(monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    import datasets

    asked = []

    def load_dataset(repository: str, config: str, *, split: str, revision: str) -> datasets.Dataset:
        asked.append((repository, config, split, revision))
        return datasets.Dataset.from_pandas(rows(task, 30, seed=len(asked)), preserve_index=False)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    splits = from_hub(task, "nyu-mll/glue")
    names = ["train", *TASKS[task][2]]
    assert asked == [("nyu-mll/glue", task, name, REVISION) for name in names]
    pd.testing.assert_frame_equal(splits["train"], rows(task, 30, seed=1))


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path) -> None:
    """In a process of its own: Hugging Face's libraries read the variable when they are imported."""
    code = "from pipeline.data.hub import fetch\nfetch('nyu-mll/glue', 'cola', 'train', '0' * 40)"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "HubError" in last
    assert "nyu-mll/glue cola train" in done.stderr
    assert "data.source path" in done.stderr
    assert HubError.exit_code == 3


# questions


@pytest.mark.parametrize("task", ["squad", "squad_v2"])
def test_both_versions_load_with_every_answer_at_its_place(tmp_path: Path, task: str) -> None:
    splits = from_folder(made_up.squad(tmp_path, task), task)
    assert {name: len(frame) for name, frame in splits.items()} == {"train": 60, "validation": 12}
    for frame in splits.values():
        assert tuple(frame.columns) == QUESTION_COLUMNS
        for context, texts, starts in zip(
            frame["context"], frame["answer_texts"], frame["answer_starts"], strict=True
        ):
            assert [context[start:].startswith(text) for text, start in zip(texts, starts, strict=True)] == [
                True
            ] * len(texts)
    has_answer = splits["train"]["answer_texts"].str.len() > 0
    assert has_answer.all() == (task == "squad")
    assert has_answer.any()


def test_the_hub_gives_questions_as_they_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []

    def load_dataset(repository: str, config: str | None, *, split: str, revision: str) -> datasets.Dataset:
        asked.append((repository, config, split, revision))
        return datasets.Dataset.from_pandas(made_up.questions(12, seed=len(asked)), preserve_index=False)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    found = from_hub("squad", "rajpurkar/squad")
    assert asked == [("rajpurkar/squad", None, split, REVISION) for split in ("train", "validation")]
    source = pa.Table.from_pandas(made_up.questions(12, seed=1))
    wanted = checked(source, source="train", unanswerable=False)
    pd.testing.assert_frame_equal(found["train"], wanted)
