"""Checkpoints chosen on the split that is reported, as the peers do: what is done, and that all say so."""

from pathlib import Path
from typing import Any

import ladder_project
import made_up
import pytest

from bitladder import files
from pipeline import paths, record
from pipeline.data.tables import read_split
from pipeline.params import Params
from pipeline.reporting import table
from pipeline.stages import evaluate, pack, prepare, report
from pipeline.tasks.selection import HELD_OUT, is_optimistic, said
from pipeline.tracking import execution, fields

SAID = "chosen on validation itself: their scores are optimistic"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A teacher and w1, trained and packed and reported with the peers' habit; the working directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        params = ladder_project.make("sst2", "evaluation.selection=validation", "deliver=[w1]", "claims=[]")
        ladder_project.climb(params, "w1")
        pack.run(params, "w1")
        evaluate.run(params)
        report.run(params)
        yield params


def test_nothing_is_held_out_of_train(project: Params) -> None:
    plain = paths.data_dir("sst2", "plain")
    assert sorted(read_split(plain, "train")["idx"]) == list(range(60))
    digests = files.verify(plain)
    assert digests["selection.parquet"] == digests["validation.parquet"]
    assert files.read_json(plain / "summary.json")["selection_is"] == "validation"


def test_the_record_names_the_split_that_chose(project: Params) -> None:
    for name in ("teacher", "w1"):
        found = record.read(paths.model_dir(name))
        assert found.selected_on == "validation"
        assert set(found.scores) == {"validation"}


def test_results_and_the_printed_table_say_so(project: Params, capsys: pytest.CaptureFixture[str]) -> None:
    results = files.read_json(paths.RESULTS)
    assert results["checkpoint_selected_on"] == "validation"
    assert {model["selected_on"] for model in results["models"].values()} == {"validation"}
    table.main(as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert SAID in printed
    assert "held out" not in printed


def test_report_and_card_say_so(project: Params) -> None:
    for written in ("report.html", "cards/w1.md"):
        text = (paths.REPORTS / written).read_text(encoding="utf-8")
        assert SAID in text, written
        assert "chose nothing" not in text


def test_mlflows_tags_say_so(project: Params) -> None:
    folder = paths.model_dir("w1")
    model = execution.Model(record.read(folder), folder, files.verify(folder), packed=None, result=None)
    assert "trained/validation/accuracy" in {point.key for point in fields.points(model)}
    tags = fields.tags(model, None)
    assert tags["bitladder.selected_on"] == "validation"
    assert "reported" in tags["bitladder.optimistic"]


def test_of_several_validation_splits_the_first_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ladder_project.make("mnli", "evaluation.selection=validation")
    digests = files.verify(paths.data_dir("mnli", "plain"))
    assert digests["selection.parquet"] == digests["validation_matched.parquet"]


def test_of_questions_the_reported_ones_choose_the_margin_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = made_up.squad(Path("source"), "squad_v2")
    prepare.run(made_up.task_params(Path(), "squad_v2", root, "evaluation.selection=validation"))
    plain = paths.data_dir("squad_v2", "plain")
    assert read_split(plain, "selection").equals(read_split(plain, "validation"))
    assert len(read_split(plain, "train")) == 60


def test_held_out_is_what_is_said_otherwise() -> None:
    assert (
        said(HELD_OUT, "validation")
        == "chosen on selection, which is held out of train; validation chose nothing"
    )
    assert not is_optimistic(HELD_OUT)
    assert not is_optimistic(None)  # a pre-trained model chose no checkpoint
