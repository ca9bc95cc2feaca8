"""Every GLUE task loads from the Hub's layout, from a folder and through `datasets`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import TASKS, glue, rows, write

from bitladder.files import IntegrityError
from pipeline.data.checks import DataError
from pipeline.data.glue import from_folder, from_hub
from pipeline.data.hub import HubError

REVISION = "0" * 40


def expected(task: str) -> dict[str, Any]:
    columns, num_labels, validation = TASKS[task]
    return {"sentence_columns": columns, "num_labels": num_labels, "validation_splits": validation}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_loads_with_its_columns_labels_and_labelled_splits(tmp_path: Path, task: str) -> None:
    columns, num_labels, validation = TASKS[task]
    splits = from_folder(glue(tmp_path, task), task, **expected(task))
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
        from_folder(root, "mnli", **expected("mnli"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"sentence\tlabel\n"])
def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    root = glue(tmp_path, "cola")
    (root / "glue/cola/train.parquet").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"glue/cola/train\.parquet"):
        from_folder(root, "cola", **expected("cola"))


def test_problems_of_all_splits_are_told_at_once(tmp_path: Path) -> None:
    root = glue(tmp_path, "mnli")
    for split, label in (("train", 3), ("validation_matched", -1)):
        write(root / f"glue/mnli/{split}.parquet", rows("mnli", 12, seed=0).assign(label=label))
    write(root / "glue/mnli/validation_mismatched.parquet", rows("mnli", 12, seed=0).drop(columns="premise"))
    with pytest.raises(DataError) as caught:
        from_folder(root, "mnli", **expected("mnli"))
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
        from_folder(root, "cola", **expected("cola"))


def test_labels_of_the_test_split_are_refused_where_labels_are_needed(tmp_path: Path) -> None:
    root = glue(tmp_path, "cola")
    (root / "glue/cola/test.parquet").replace(root / "glue/cola/validation.parquet")
    with pytest.raises(DataError, match=r"row 0: -1 \(8 such rows\)"):
        from_folder(root, "cola", **expected("cola"))


@pytest.mark.parametrize("task", ["mnli", "stsb"])
def test_the_hub_gives_the_same_rows_as_a_folder(monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    import datasets

    asked = []

    def load_dataset(repository: str, config: str, *, split: str, revision: str) -> datasets.Dataset:
        asked.append((repository, config, split, revision))
        return datasets.Dataset.from_pandas(rows(task, 30, seed=len(asked)), preserve_index=False)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    splits = from_hub(task, repository=None, revision=REVISION, **expected(task))
    names = ["train", *TASKS[task][2]]
    assert asked == [("nyu-mll/glue", task, name, REVISION) for name in names]
    pd.testing.assert_frame_equal(splits["train"], rows(task, 30, seed=1))


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path) -> None:
    """In a process of its own: Hugging Face's libraries read the variable when they are imported."""
    code = (
        "from pipeline.data.glue import from_hub\n"
        "from_hub('cola', repository=None, revision='0' * 40, validation_splits=['validation'],"
        " sentence_columns=['sentence'], num_labels=2)"
    )
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
