"""What `bitladder plan` says of time, memory and disk."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from flows import estimate, graph, plan
from flows.estimate import Timing
from flows.graph import StageState
from pipeline.params_file import load

ROOT = Path(__file__).parents[2]
DEFAULT = load(ROOT / "params.yaml")
MODELS = ("pretrained", "teacher", *DEFAULT.rungs)


def ran(name: str, *, steps: int = 10, seconds: float = 6.0, peak: float = 500.0, task: str = "demo") -> None:
    """Leave what a model's training took here."""
    stage = estimate.stage_of(DEFAULT, name)
    Timing(seconds=seconds, peak_memory_mib=peak, task=task, model="demo", steps=steps).write(stage)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default's params.yaml, each stage run before at 0.6 s a step, and nothing DVC could be asked."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    for name in MODELS:
        ran(name)
    others = {"prepare": 6.0, "augment": 12.0, "evaluate": 3.0}
    others |= {f"pack@{name}": 3.0 for name in DEFAULT.deliver}
    for stage, seconds in others.items():
        Timing(seconds=seconds).write(stage)
    return tmp_path


def stages(**states: str) -> list[StageState]:
    return [StageState(name.replace("__", "@"), state, "", None) for name, state in states.items()]  # type: ignore[arg-type]


def as_json(*, ask_dvc: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan.main(as_json=True, ask_dvc=ask_dvc))
    return found


def test_a_model_is_expected_to_take_as_long_again_step_for_step(project: Path) -> None:
    rows = {row["name"]: row for row in as_json()["rows"]}
    assert rows["w8"]["minutes"] == pytest.approx(100 * 0.6 / 60)
    assert rows["w1a1"]["minutes"] == pytest.approx(600 * 0.6 / 60)
    assert all(row["peak_memory_mib"] == 500 and row["disk_mib"] > 0 for row in rows.values())


def test_what_another_task_took_says_nothing(project: Path) -> None:
    ran("w8", task="mrpc")
    found = json.loads(plan.main(as_json=True, ask_dvc=False, measure=False))
    rows = {row["name"]: row for row in found["rows"]}
    assert (rows["w8"]["minutes"], rows["w8"]["peak_memory_mib"]) == (None, None)
    assert "weights@w8" not in found["planned_seconds"]


def test_the_whole_ladder_is_trainings_packings_and_what_else_is_known(project: Path) -> None:
    steps = sum(row["steps"] for row in as_json()["rows"])
    others = 6.0 + 12.0 + 9 * 3.0 + 3.0  # prepare, augment, nine times pack, evaluate
    assert as_json()["totals"]["whole_minutes"] == pytest.approx((steps * 0.6 + others) / 60)


def test_skipped_stages_cost_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stages(teacher="skipped", weights__w8="runs", weights__w4="may run", report="may run")
    monkeypatch.setattr(graph, "states", lambda _: found)
    answer = as_json(ask_dvc=True)
    assert answer["totals"]["minutes"] == pytest.approx(2 * 100 * 0.6 / 60)
    assert answer["totals"]["not_counted"] == ["report"]
    text = plan.main(as_json=False, ask_dvc=True)
    assert "What would run: 2.0 minutes, report not counted. The whole ladder:" in text


def test_a_stage_that_trains_nothing_is_expected_to_take_what_it_took(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Timing(seconds=30.0).write("register")
    monkeypatch.setattr(graph, "states", lambda _: [StageState("register", "runs", "", 30.0)])
    totals = as_json(ask_dvc=True)["totals"]
    assert (totals["minutes"], totals["not_counted"]) == (pytest.approx(0.5), [])


def test_the_model_that_needs_most_memory_is_named_and_too_much_is_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran("w2", peak=9000.0)
    memory = SimpleNamespace(available=8000 * 2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    text = plan.main(as_json=False, ask_dvc=False)
    assert "Memory: w2 needs the most, 9,000 MiB; 8,000 MiB are available." in text
    assert "WARNING: w2 needs 9,000 MiB of memory" in text


def test_too_little_disk_is_a_warning(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "WARNING" not in plan.main(as_json=False, ask_dvc=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    assert "MiB of disk are needed, 1 MiB are free" in plan.main(as_json=False, ask_dvc=False)


def test_other_seeds_are_named_and_not_counted(project: Path) -> None:
    once = as_json()
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("seeds:\n- 0\n", "seeds:\n- 0\n- 1\n- 2\n"))
    found = as_json()
    assert (found["totals"]["whole_minutes"], found["rows"]) == (
        once["totals"]["whole_minutes"],
        once["rows"],
    )
    assert found["notes"][-1].startswith("Not counted: seeds 1, 2.")


def test_of_several_seeds_the_graphs_own_has_nothing_to_do(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("seeds:\n- 0\n", "seeds:\n- 0\n- 1\n"))
    now = stages(prepare="skipped", repeat__0="runs", repeat__1="runs", evaluate="runs")
    monkeypatch.setattr(graph, "states", lambda _: now)
    totals = as_json(ask_dvc=True)["totals"]
    assert (totals["minutes"], totals["not_counted"]) == (pytest.approx(3.0 / 60), ["repeat@1"])
