"""Parquet files as they are found: their own names of classes, categories, row numbers, relative paths."""

import json
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up import params

from pipeline.data import sources
from pipeline.kinds.checks import DataError
from pipeline.params import Params

NAMES = ["unacceptable", "acceptable"]


def project(root: Path | str) -> Params:
    return params(
        Path(tempfile.mkdtemp()), "task=cola", "model=minilm", "data.source=path", f"data.root={root}"
    )


def rows(**columns: object) -> pd.DataFrame:
    texts = ["the dog sees", "a cat", "the fish hears", "a bird"]
    return pd.DataFrame({"sentence": texts, "label": [0, 1, 0, 1], "idx": range(4), **columns})


def write(root: Path, frame: pd.DataFrame, names: list[str] | None = None) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if names is not None:  # as `datasets` writes it
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        known = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **known})
    (root / "glue" / "cola").mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        pq.write_table(table, root / "glue" / "cola" / f"{split}.parquet")


def read(root: Path | str) -> pd.DataFrame:
    own = project(root)
    return sources.read(own.task, own.data)["train"]


@pytest.mark.parametrize("names", [None, NAMES, ["0", "1"]])
def test_classes_that_the_file_names_alike_or_not_at_all_are_read(
    tmp_path: Path, names: list[str] | None
) -> None:
    write(tmp_path, rows(), names)
    assert read(tmp_path)["label"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("names", [NAMES[::-1], ["bad", "good"], ["a", "b", "c"]])
def test_classes_that_the_file_names_otherwise_are_refused(tmp_path: Path, names: list[str]) -> None:
    """optimum#197: the names were taken from one place and the numbers from another."""
    write(tmp_path, rows(), names)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert len(caught.value.problems) == 2  # of both files
    assert f"the file's own metadata call its classes {names}, and task.label_names says" in str(caught.value)


def test_categorical_columns_are_read_as_what_they_hold(tmp_path: Path) -> None:
    """datasets#5706."""
    plain = rows()
    write(tmp_path, plain.astype({"sentence": "category", "label": "category"}))
    assert read(tmp_path)[["sentence", "label"]].equals(plain[["sentence", "label"]])


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([0, 1, None, 3], r"column 'idx', row 2: missing \(1 such rows\); expected a number for each row"),
        ([0, 1, 2, 1], r"column 'idx', row 3: 1 \(1 such rows\); row 1 has it already"),
    ],
)
def test_a_number_that_is_missing_or_there_twice_is_refused_with_its_row(
    tmp_path: Path, numbers: list[int | None], said: str
) -> None:
    write(tmp_path, rows(idx=pd.array(numbers, dtype="Int64")))
    with pytest.raises(DataError, match=said):
        read(tmp_path)


def test_a_relative_root_is_read_and_where_it_is_not_there_an_absolute_one_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dvc#8747: `dvc exp run --temp` works in a copy of the project, to which the path does not lead."""
    write(tmp_path / "own", rows())
    monkeypatch.chdir(tmp_path)
    assert len(read("own")) == 4
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    with pytest.raises(
        FileNotFoundError, match=rf"no such file in {tmp_path}/copy; .* an absolute one is right"
    ):
        read("own")
