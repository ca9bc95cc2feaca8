"""What `bitladder plan` says of time, memory and disk; and that a real ladder then takes that long."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_up
import pytest

from flows import measure, memory, plan, planned, status
from flows.measured import Measured
from flows.status import StageState
from pipeline.ladder.cost import Rehearsed, Rows
from pipeline.params import Params, load

ROOT = Path(__file__).parents[2]
DEFAULT = load(ROOT / "params.yaml")
KIND = Rehearsed(
    seconds_per_step=0.6,
    seconds_per_row=0.0,
    other_seconds=0.0,
    peak_mib=500.0,
    gpu_mib=None,
    threads=1,
    steps=23,
    pack_seconds=3.0,
)
ROWS = Rows(5400, 16200, 600, 1000, 1000, 0.0, (800, 64), "made", {"32": 15.0})


def measured(**changes: Any) -> Measured:
    kinds = dict.fromkeys(("pretrained", "teacher", *DEFAULT.rungs), KIND) | changes
    return Measured(kinds, ROWS, prepare_seconds=6.0, augment_seconds=12.0, failures={})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default's params.yaml, every kind measured, and nothing that DVC could be asked."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.setattr(measure, "measure", lambda *_, **__: measured())
    return tmp_path


def stages(**states: str) -> list[StageState]:
    return [StageState(name.replace("__", "@"), state, "", None) for name, state in states.items()]  # type: ignore[arg-type]


def as_json(*, ask_dvc: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan.main(as_json=True, ask_dvc=ask_dvc))
    return found


def test_every_model_has_its_minutes_memory_and_disk(project: Path) -> None:
    rows = {row["name"]: row for row in as_json()["rows"]}
    assert rows["w8"]["minutes"] == pytest.approx(100 * 0.6 / 60)
    assert rows["w1a1"]["minutes"] == pytest.approx(600 * 0.6 / 60)
    assert all(row["peak_memory_mib"] == 500 and row["disk_mib"] > 0 for row in rows.values())


def test_the_whole_ladder_is_trainings_packings_and_what_else_is_known(project: Path) -> None:
    steps = sum(row["steps"] for row in as_json()["rows"])
    others = 6.0 + 12.0 + 9 * 3.0 + 3.0  # prepare, augment, nine times pack, evaluate
    assert as_json()["totals"]["whole_minutes"] == pytest.approx((steps * 0.6 + others) / 60)


def test_skipped_stages_cost_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stages(teacher="skipped", weights__w8="runs", weights__w4="may run", report="may run")
    monkeypatch.setattr(status, "ask", lambda: found)
    answer = as_json(ask_dvc=True)
    assert answer["totals"]["minutes"] == pytest.approx(2 * 100 * 0.6 / 60)
    assert answer["totals"]["not_counted"] == ["report"]
    text = plan.main(as_json=False, ask_dvc=True)
    assert "What would run: 2.0 minutes, report not counted. The whole ladder:" in text


def test_a_stage_that_cannot_be_measured_is_expected_to_take_what_it_took(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "ask", lambda: [StageState("register", "runs", "", 30.0)])
    totals = as_json(ask_dvc=True)["totals"]
    assert (totals["minutes"], totals["not_counted"]) == (pytest.approx(0.5), [])


def test_the_model_that_needs_most_memory_is_named_and_too_much_is_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Rehearsed(**{**vars(KIND), "peak_mib": 9000.0})
    monkeypatch.setattr(measure, "measure", lambda *_, **__: measured(w2=large))
    monkeypatch.setattr(memory, "available_mib", lambda: 8000.0)
    text = plan.main(as_json=False, ask_dvc=False)
    assert "Memory: w2 needs the most, 9,000 MiB; 8,000 MiB are available." in text
    assert "WARNING: w2 needs 9,000 MiB of memory" in text


def test_too_little_disk_is_a_warning(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "WARNING" not in plan.main(as_json=False, ask_dvc=False)
    monkeypatch.setattr(planned.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    assert "MiB of disk are needed, 1 MiB are free" in plan.main(as_json=False, ask_dvc=False)


@pytest.mark.parametrize(
    ("kinds", "copies"), [("", 2), ("reflink,copy", 2), ("hardlink,copy", 1), ("symlink", 1)]
)
def test_a_cache_that_links_keeps_no_copy(project: Path, kinds: str, copies: int) -> None:
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text(f"[cache]\n    type = {kinds}\n")
    assert planned._copies() == copies


@pytest.mark.parametrize(
    ("shared", "local", "copies"),
    [
        ("[cache]\n    type = hardlink\n", "[cache]\n    type = copy\n", 2),  # this machine's own goes first
        ("[cache]\n    type = copy\n", "[cache]\n    type = symlink\n", 1),
        ("[cache]\n    type = hardlink\n", "[core]\n    remote = here\n", 1),
        ("['remote \"here\"']\n    type = hardlink\n", "", 2),  # not the cache's
        ("[cache]\n    link_type = hardlink\n", "", 2),
    ],
)
def test_the_caches_own_type_counts_and_the_local_file_goes_first(
    project: Path, shared: str, local: str, copies: int
) -> None:
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text(shared)
    Path(".dvc/config.local").write_text(local)
    assert planned._copies() == copies


def test_what_was_assumed_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(None, None, None, None, None, 0.0, (800, 64), "assumed", {"32": 24.0})
    found = Measured(measured().kinds, rows, None, None, {"w4": "killed"})
    monkeypatch.setattr(measure, "measure", lambda *_, **__: found)
    text = plan.main(as_json=False, ask_dvc=False)
    assert "each is taken to have task.max_length (24) tokens" in text
    assert "w4: not measured: killed" in text


def test_several_processes_are_said_not_to_be_measured(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("params.yaml").read_text().replace("processes: 1", "processes: 2")
    Path("params.yaml").write_text(text)
    assert "measured is one process alone" in plan.main(as_json=False, ask_dvc=False)


LADDER = (
    "~weights",
    "~weights_activations",
    "+weights={w1: {bits: 1, init_from: teacher, taught_by: teacher, data: plain}}",
    "+weights_activations={w1a8: {bits: 1, activation_bits: 8, init_from: w1, taught_by: teacher, "
    "data: plain}}",
    "deliver=[w1a8]",
    "claims=[]",
    "task.generator.train_rows=1200",
    "task.generator.validation_rows=200",
    "task.generator.corpus_rows=3000",
    "budget.pretraining.steps=150",
    "budget.teacher.steps=150",
    "budget.rung.steps=100",
)


@pytest.mark.slow
def test_a_ladder_takes_about_what_was_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the processors' time, which other work on the machine does not change much; and its memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = made_up.params(tmp_path, *LADDER)
    plan_of_it = json.loads(run("bitladder.cli", "plan", "--json", "--no-status").stdout)
    planned, peaks = plan_of_it["planned_seconds"], {row["stage"]: row for row in plan_of_it["rows"]}
    again = json.loads(run("bitladder.cli", "plan", "--json", "--no-status").stdout)["planned_seconds"]
    assert again == planned  # nothing was measured a second time
    assert not list(Path(".bitladder/rehearsals").iterdir())
    for stage, rung in stages_of(settings):
        run("flows.stage", stage, *([rung] if rung else []))
        address = f"{stage}@{rung}" if rung else stage
        real = json.loads(Path(f".bitladder/timings/{address}.json").read_text())
        seconds = real["processor_seconds"]
        is_near = abs(planned[address] - seconds) < 1 or 1 / 1.5 < planned[address] / seconds < 1.5
        assert is_near, (address, planned[address], seconds)
        if address in peaks:
            expected = peaks[address]["peak_memory_mib"]
            assert 1 / 1.5 < expected / real["peak_memory_mib"] < 1.5, (address, expected, real)


def stages_of(settings: Params) -> list[tuple[str, str | None]]:
    rungs = [("weights", name) for name in settings.weights]
    rungs += [("weights_activations", name) for name in settings.weights_activations]
    packs = [("pack", name) for name in settings.deliver]
    return [("prepare", None), ("pretrained", None), ("teacher", None), *rungs, *packs, ("evaluate", None)]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", *arguments], check=True, capture_output=True, text=True)


def test_other_seeds_take_their_share_and_are_said_in_one_sentence(project: Path) -> None:
    once = as_json()
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("seeds:\n- 0\n", "seeds:\n- 0\n- 1\n- 2\n"))
    found = as_json()
    assert [repeat["stage"] for repeat in found["repeats"]] == ["repeat@1", "repeat@2"]
    [minutes] = {repeat["seconds"] / 60 for repeat in found["repeats"]}
    assert found["totals"]["whole_minutes"] == pytest.approx(once["totals"]["whole_minutes"] + 2 * minutes)
    assert found["totals"]["disk_mib"] > once["totals"]["disk_mib"]
    assert found["rows"] == once["rows"]
    assert f"Seeds 1, 2: each 10 models once more, from the teacher on: {minutes:.1f} minutes" in plan.main(
        as_json=False, ask_dvc=False
    )
    assert "once more" not in "".join(once["notes"])


def test_what_only_other_seeds_train_is_counted_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("seeds:\n- 0\n", "seeds:\n- 0\n- 1\n"))
    now = stages(prepare="skipped", teacher="skipped", repeat__0="runs", repeat__1="runs", evaluate="runs")
    monkeypatch.setattr(status, "ask", lambda: now)
    totals = as_json(ask_dvc=True)["totals"]
    assert totals["minutes"] > 10
    assert totals["peak_memory_mib"] == 500.0
    assert totals["disk_mib"] > 0
    assert totals["not_counted"] == []
