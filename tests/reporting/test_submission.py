"""What the GLUE server takes: its file names, columns and words, rows in order, similarities from 0 to 5."""

from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import pytest
import tiny_project

from flows.compose import compose
from pipeline import paths
from pipeline.kinds.checks import DataError
from pipeline.params import Params, Task
from pipeline.reporting import submission
from pipeline.stages import pack

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 0.5, 1.0], [0.0, 7.0, 1.0]], np.float32)


def task(folder: Path, name: str) -> Task:
    return made_up.params(folder, f"task={name}", "model=minilm").task


def project(name: str) -> Params:
    """The working directory with the default ladder on a task; w1 is packed."""
    pack.run(tiny_project.make(name), "w1")
    return made_up.params(Path(), f"task={name}", "model=minilm", "task.max_length=16")


def test_words_where_the_server_wants_words(tmp_path: Path) -> None:
    assert submission.written(task(tmp_path, "mnli"), LOGITS) == ["entailment", "contradiction", "neutral"]
    two = LOGITS[:, :2]
    assert submission.written(task(tmp_path, "rte"), two) == [
        "entailment",
        "not_entailment",
        "not_entailment",
    ]
    assert submission.written(task(tmp_path, "qnli"), two)[0] == "entailment"
    for name in ("cola", "sst2", "mrpc", "qqp", "wnli"):
        assert submission.written(task(tmp_path, name), two) == ["0", "1", "1"]


def test_similarities_stay_between_0_and_5(tmp_path: Path) -> None:
    values = np.array([[-0.2], [3.14159], [5.6]], np.float32)
    assert submission.written(task(tmp_path, "stsb"), values) == ["0.000", "3.142", "5.000"]


def test_rows_are_in_the_order_of_the_index() -> None:
    assert submission.tsv([10, 9, 0], ["a", "b", "c"]) == "index\tprediction\n0\tc\n9\tb\n10\ta\n"


def test_every_glue_task_has_its_files() -> None:
    assert set(submission.SHEETS) == set(made_up.TASKS)
    names = [sheet.name for sheets in submission.SHEETS.values() for sheet in sheets]
    expected = ["CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI-m", "MNLI-mm", "AX", "QNLI", "RTE", "WNLI"]
    assert sorted(names) == sorted(f"{name}.tsv" for name in expected)


def test_a_packed_model_answers_both_test_splits_of_mnli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = project("mnli")
    for split in ("test_matched", "test_mismatched"):
        rows = made_up.rows("mnli", 9, seed=4).assign(label=-1).iloc[::-1]
        made_up.write(Path(f"source/glue/mnli/{split}.parquet"), rows)
    assert submission.main("w1", Path("source"), Path("out")) == 0
    assert {path.name for path in Path("out").iterdir()} == {"MNLI-m.tsv", "MNLI-mm.tsv"}
    sheet = pd.read_csv("out/MNLI-m.tsv", sep="\t")
    assert list(sheet.columns) == ["index", "prediction"]
    assert sheet["index"].tolist() == list(range(9))
    assert set(sheet["prediction"]) <= set(found.task.label_names)
    frame = made_up.rows("mnli", 9, seed=4)
    assert sheet["prediction"].tolist() == submission.answers(found.task, "w1", frame)


def test_what_cannot_be_answered_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(compose(["task=cola", "model=minilm"], made_up.CONF), encoding="utf-8")
    with pytest.raises(ValueError, match="no packed rung 'w3'; known: w8, w4"):
        submission.main("w3", tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"glue/cola/test\.parquet"):
        submission.main("w1", tmp_path, tmp_path)
    made_up.write(Path("glue/cola/test.parquet"), made_up.rows("cola", 4, seed=1).assign(idx=[0, 1, 1, 2]))
    with pytest.raises(DataError, match="does not number the 4 rows from 0 on"):
        submission.main("w1", tmp_path, tmp_path)
    Path("params.yaml").write_text(compose(["task=squad", "model=minilm"], made_up.CONF), encoding="utf-8")
    with pytest.raises(ValueError, match="squad is none of GLUE's"):
        submission.main("w1", tmp_path, tmp_path)
    assert not paths.PACKED.exists()
