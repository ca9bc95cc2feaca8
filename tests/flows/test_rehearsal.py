"""A rehearsal runs the real stages on a few rows, in a folder of its own."""

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import made_up
import pytest
import tiny_project
from with_kernels import has_kernels

from bitladder.runtime.kernels import engines, machine_code
from flows.rehearsal import settings as small
from flows.rehearsal.data import augmentation, lengths
from flows.rehearsal.rows import is_prepared, lay_out
from flows.rehearsal.training import _score, train
from pipeline import paths, record
from pipeline.data.tables import read_split
from pipeline.params import Params
from pipeline.rungs import Phase
from pipeline.stages import pack, prepare

FEW = ("training.teacher.batch_size=4", "training.rung.batch_size=4", "task.max_length=24")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose task and pre-trained model lie in folders; nothing has run."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


def settings_of(project: Path) -> Params:
    made_up.bert(project / "source" / "bert")
    source = ("model.source=path", "model.location=source/bert")
    glue = made_up.glue(Path("source"), "cola", train_rows=300, validation_rows=90)
    return made_up.task_params(project, "cola", glue, *source, *FEW)


@pytest.fixture
def laid_out(project: Path, tmp_path: Path) -> tuple[Params, dict[str, Any]]:
    """The folder of a rehearsal, with its rows, as the working directory; what was told of them."""
    settings = small.with_absolute_places(settings_of(project))
    folder = tmp_path / "folder"
    folder.mkdir()
    return settings, lay_out(settings, project=project, folder=folder)


def test_a_few_real_rows_are_laid_out_and_all_are_counted(laid_out: tuple[Params, dict[str, Any]]) -> None:
    settings, told = laid_out
    assert (told["train"], told["selection"], told["validation"]) == (240, 60, 90)
    assert told["origin"] == "made"
    rows = read_split(paths.data_dir("cola", "plain"), "train")
    assert len(rows) == told["rehearsed"][0] <= small.rows_to_train_on(settings) + 1
    assert len(read_split(paths.data_dir("cola", "plain"), "validation")) <= small.MOST_ROWS_TO_SCORE + 1


def test_the_project_itself_is_left_alone(laid_out: tuple[Params, dict[str, Any]], project: Path) -> None:
    assert sorted(os.listdir(project)) == ["params.yaml", "source"]


def test_prepared_rows_are_used(project: Path, tmp_path: Path) -> None:
    settings = settings_of(project)
    prepare.run(settings, None)
    folder = tmp_path / "folder"
    folder.mkdir()
    told = lay_out(settings, project=project, folder=folder)
    assert (told["origin"], told["train"]) == ("prepared", 240)
    assert not is_prepared(settings.model_copy(update={"seed": 9}), project / "data/cola/plain")


def test_rows_out_of_reach_are_taken_to_be_as_long_as_they_may(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> NoReturn:
        raise ConnectionError("no hub")

    monkeypatch.setattr(prepare, "run", offline)
    folder = tmp_path / "folder"
    folder.mkdir()
    told = lay_out(settings_of(project), project=project, folder=folder)
    assert (told["origin"], told["train"], told["selection"]) == ("assumed", None, None)
    texts = read_split(paths.data_dir("cola", "plain"), "train")["sentence"]
    assert all(len(text.split()) == 24 for text in texts)


def test_the_stages_run_for_real_and_are_timed(
    laid_out: tuple[Params, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = laid_out
    monkeypatch.setattr(small, "MOST_STEPS", 5)
    copied, measured, augmented, teacher, rung = (
        train(settings, "pretrained"),
        lengths(settings, Path.cwd()),
        augmentation(settings, Path.cwd()),
        train(settings, "teacher"),
        train(settings, "w1a4"),
    )
    assert copied["durations"] == []
    assert 0 < measured["tokens"]["4"] <= 24
    assert (teacher["steps"], len(teacher["durations"]), len(teacher["widths"])) == (6, 5, 5)
    assert "packing" not in teacher
    assert (rung["packed_on"], rung["scored"]) == (64, 60)
    assert "kernel_scoring" not in rung  # there are none for layers of 16 features
    assert rung["state_after"] in range(1, 6)
    assert min(wall for wall, _ in rung["durations"]) > 0
    assert sorted(path.name for path in Path("models").iterdir()) == ["pretrained", "teacher", "w1a4"]
    assert augmented["rows"][:3] == [60, 60, 240]
    json.dumps([copied, measured, augmented, teacher, rung])


def test_a_rung_that_a_rung_teaches_is_rehearsed_with_such_a_teacher(
    laid_out: tuple[Params, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And phases with the terms of all of them."""
    settings, _ = laid_out
    monkeypatch.setattr(small, "MOST_STEPS", 3)
    weights = settings.distillation
    phases = [
        Phase(share=0.5, distillation=weights.model_copy(update={"logits": 0.0})),
        Phase(share=0.5, distillation=weights.model_copy(update={"hidden_states": 0.0})),
    ]
    rung = settings.rungs["w1a4"].model_copy(update={"taught_by": "w1a8", "phases": phases})
    activations = {**settings.weights_activations, "w1a4": rung}
    settings = settings.model_copy(update={"weights_activations": activations})
    train(settings, "pretrained")
    train(settings, "teacher")
    told = train(settings, "w1a4")
    stood_in, own = (record.read(paths.model_dir(name)) for name in ("w1a8", "w1a4"))
    assert (stood_in.steps, stood_in.teacher, stood_in.precision.activations) == (1, "teacher", 8)
    assert (own.steps, own.teacher, own.teacher_digest) == (told["steps"], "w1a8", stood_in.digest)
    assert (own.settings["distillation"]["logits"], own.settings["distillation"]["hidden_states"]) == (1, 1)


@has_kernels
def test_kernels_are_there_before_packing_and_score_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(engines.VARIABLE, raising=False)
    settings = tiny_project.make(hidden_size=64, intermediate_size=128)
    packing = pack.run
    loaded: list[int] = []

    def noted(*arguments: Any) -> None:
        loaded.append(machine_code.load.cache_info().currsize)
        packing(*arguments)

    monkeypatch.setattr(pack, "run", noted)
    machine_code.load.cache_clear()
    told = {name: _score(settings, name) for name in ("w1a8", "w1")}
    passes = {"scoring", "packed_scoring"}
    assert passes | {"kernel_scoring"} <= set(told["w1a8"])
    assert passes <= set(told["w1"])
    assert "kernel_scoring" not in told["w1"]  # activations of 32 bits are torch's
    assert loaded == [1, 1]
