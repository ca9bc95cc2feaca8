"""Every GLUE task goes the whole way, through the real stages: prepared, augmented, trained, packed, scored,
shown; all of them into one registry. (Questions: test_question_answering.py.)"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_up
import pytest
import whole_graph

from bitladder import files
from pipeline import paths, record
from pipeline.evaluation import agreement
from pipeline.params import Params
from pipeline.stages import register

RUNGS = ("w1", "w1a8")
QUICKLY = ("mnli", "stsb")  # three labels and two splits, no label at all; the others take half a minute
SHORT = (
    "augmentation={contextual: 0, embedding: 1, swap: 1, delete: 0, spelling: 0, word_fraction: 0.3}",
    *(f"budget.{kind}.steps=2" for kind in ("teacher", "rung", "binary_activations")),
    *(f"training.{kind}.batch_size=8" for kind in ("teacher", "rung", "binary_activations")),
    "budget.evaluations=1",
    "task.max_length=24",
    "weights.w1.init_from=teacher",
    f"deliver=[{', '.join(RUNGS)}]",
    "claims=[]",
)
VALUES = {
    "accuracy": (0, 1),
    "f1": (0, 1),
    "matthews_correlation": (-1, 1),
    "pearson": (-1, 1),
    "spearman": (-1, 1),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One project for all tasks, as `-S task=...` leaves it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        yield made_up.bert(Path("bert"), masked_lm=False)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in QUICKLY else pytest.mark.slow) for name in made_up.TASKS],
)
def task(root: Path, request: pytest.FixtureRequest) -> Params:
    """A task after all its stages but `register`."""
    source = made_up.glue(Path("source"), request.param)
    model = ("model.source=path", f"model.location={root}")
    params = made_up.task_params(Path(), request.param, source, *model, *SHORT)
    whole_graph.run(params)
    return params


def results() -> dict[str, Any]:
    found: dict[str, Any] = files.read_json(paths.RESULTS)
    return found


def test_its_official_metrics_are_reported_on_each_of_its_validation_splits(task: Params) -> None:
    """MNLI's are matched and mismatched."""
    found = results()
    assert (found["task"], found["split"]) == (task.task.name, made_up.TASKS[task.task.name][2][0])
    for name in ("teacher", *RUNGS):
        scores = found["models"][name]["scores"]
        assert list(scores) == made_up.TASKS[task.task.name][2]
        for split in scores.values():
            assert list(split) == list(task.task.metrics)
            for metric, value in split.items():
                low, high = VALUES[metric]
                assert value is None or low <= value <= high, (name, metric)


def test_the_packed_model_is_the_trained_one(task: Params) -> None:
    for rung in RUNGS:
        splits = agreement.read(paths.packed_dir(rung)).splits
        assert list(splits) == list(task.task.validation_splits)[:1]
        for split in splits.values():
            assert split.largest_logit_difference == 0
            assert split.label_agreement == (None if task.task.kind == "regression" else 1)


def test_it_trained_on_the_rows_it_was_given(task: Params) -> None:
    found = {name: record.read(paths.model_dir(name)) for name in ("teacher", *RUNGS)}
    assert {one.task for one in found.values()} == {task.task.name}
    assert (found["w1"].data["kind"], found["w1a8"].data["kind"]) == ("augmented", "plain")
    assert found["w1"].settings["rows"] > found["w1a8"].settings["rows"] == 48
    losses = [line.split(",")[1] for line in Path("models/w1/curve.csv").read_text().splitlines()[1:]]
    assert all(math.isfinite(float(loss)) and float(loss) > 0 for loss in losses)


def test_its_report_is_about_it(task: Params) -> None:
    page = (paths.REPORTS / "report.html").read_text(encoding="utf-8")
    assert f"<title>bitladder: {task.task.name}</title>" in page


@pytest.mark.slow
def test_it_is_registered_beside_the_others(task: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    from pipeline.tracking import store

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    register.run(task)
    mlflow.set_tracking_uri(store.locate().uri)
    client = mlflow.MlflowClient()
    name = f"bitladder-{task.task.name}"
    models = files.read_json(paths.RESULTS)["models"]
    scored = {
        rung for rung in RUNGS if models[rung]["score"] is not None and not models[rung]["collapsed"]
    }  # two steps may leave one class
    champion = client.get_registered_model(name).aliases.get("champion")
    assert (champion is not None) == bool(scored)
    if champion is not None:
        assert client.get_model_version(name, champion).tags["bitladder.name"] in scored
    registered = {
        version.tags["bitladder.digest"] for version in client.search_model_versions(f"name = '{name}'")
    }
    assert registered == {record.read(paths.packed_dir(rung)).digest for rung in RUNGS}
