"""Steps that are timed to say what a ladder takes: of every kind of rung, quickly, and never an error."""

import json
import subprocess
import sys
from pathlib import Path

import made_up
import pytest

from bitladder import files
from flows import estimate, step_seconds
from flows.estimate import Timing
from pipeline import paths
from pipeline.params import Params

ROOT = Path(__file__).parents[2]
PLAN = "from flows import plan; print(plan.main(as_json=True, ask_dvc=False))"
SHORT = (
    "~weights",
    "~weights_activations",
    "claims=[]",
    "task.generator.train_rows=1200",
    "task.generator.validation_rows=200",
    "task.generator.corpus_rows=3000",
    "budget.pretraining.steps=150",
    "budget.teacher.steps=150",
    "budget.rung.steps=100",
)
LADDER = (
    *SHORT,
    "+weights={w1: {bits: 1, init_from: teacher, taught_by: teacher, data: plain}}",
    "+weights_activations={w1a8: {bits: 1, activation_bits: 8, init_from: w1, taught_by: teacher, "
    "data: plain}}",
    "deliver=[w1a8]",
)


def of_one(rung: str, *overrides: str) -> tuple[str, ...]:
    """A ladder of one rung of weights that is more than bits, from the teacher."""
    own = "init_from: teacher, taught_by: teacher, data: plain"
    return (
        *SHORT,
        f"+weights={{w: {{{rung}, {own}}}}}",
        "+weights_activations={}",
        "deliver=[w]",
        *overrides,
    )


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(step_seconds, "NUM_STEPS", 3)


def estimated(settings: Params) -> estimate.Estimate:
    return estimate.estimate(settings, measure=True)


def test_minutes_memory_and_disk_of_every_model_come_from_steps_taken_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = estimated(made_up.params(tmp_path, *LADDER))
    assert set(found.costs) == {"pretrained", "teacher", "w1", "w1a8"}
    for cost in found.costs.values():
        assert cost.seconds_per_step
        assert cost.seconds
        assert cost.steps
        assert cost.seconds >= cost.steps * cost.seconds_per_step  # the start comes on top
        assert cost.peak_memory_mib
        assert cost.disk_mib
    trained = {"pretrained", "teacher", "weights@w1", "weights_activations@w1a8"}
    assert set(found.seconds) == {*trained, "repeat@0"}
    assert capsys.readouterr().out == ""  # a program reads the plan there
    assert any("real steps of one process on rows of 24 tokens" in note for note in found.notes)


@pytest.mark.parametrize(
    "overrides",
    [
        ("ladder=binarybert",),  # half the width, split weights, two phases
        ("ladder=bibert",),
        of_one("bits: 4, granularity: group, group_size: 32"),
        of_one("bits: 2, hidden_act: relu", "training.gradients=bfloat16"),
    ],
)
def test_rungs_of_other_forms_are_timed_too(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    found = estimated(made_up.params(tmp_path, *overrides))
    assert all(cost.seconds_per_step for cost in found.costs.values()), found.notes


def test_a_model_that_cannot_be_timed_is_left_blank_and_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_labels(_params: object, _shape: object, rung: object, *_: object) -> float:
        if rung is not None:
            raise RuntimeError("no kernel for this processor")
        return 0.5

    monkeypatch.setattr(step_seconds, "of_model", only_labels)
    found = estimated(made_up.params(tmp_path, *LADDER))
    assert (found.costs["w1"].seconds, found.costs["teacher"].seconds_per_step) == (None, 0.5)
    assert found.costs["w1"].disk_mib
    assert "w1: not timed: RuntimeError: no kernel for this processor" in found.notes


def test_when_the_time_for_it_is_over_the_rest_is_taken_to_be_as_slow_as_the_slowest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "SECONDS_FOR_ALL", 0.0)
    monkeypatch.setattr(step_seconds, "of_model", lambda *_: 0.8)  # the last rung's, with batches of 32
    found = estimated(made_up.params(tmp_path, *LADDER))
    paces = {name: cost.seconds_per_step for name, cost in found.costs.items()}
    assert paces == {"pretrained": pytest.approx(1.6), "teacher": 0.8, "w1": 0.8, "w1a8": 0.8}
    late = [note.partition(":")[0] for note in found.notes if note.endswith("as slow as the slowest.")]
    assert late == ["w1", "teacher", "pretrained"]


def test_a_model_whose_sizes_are_not_known_yet_has_no_time_and_a_reason(tmp_path: Path) -> None:
    settings = made_up.params(tmp_path, *LADDER)
    model = settings.model.model_copy(
        update={"source": "hub", "location": "nobody/nothing", "architecture": None}
    )
    found = estimated(settings.model_copy(update={"model": model}))
    assert found.costs["pretrained"].steps == 0
    assert found.costs["w1"].seconds is None
    assert any(
        note.startswith("No time: the pre-trained model's sizes are not known") for note in found.notes
    )


def test_epochs_of_rows_that_nobody_has_counted_are_left_blank(tmp_path: Path) -> None:
    settings = made_up.params(tmp_path, *LADDER, "~budget.teacher.steps", "+budget.teacher.epochs=3")
    found = estimate.estimate(settings, measure=False)
    assert (found.costs["teacher"].steps, found.costs["w1"].steps) == (None, 100)
    assert any("Epochs become steps once the rows are counted" in note for note in found.notes)
    made = {"splits": {"train": {"rows": 1080}}}
    files.write_json(paths.data_dir("demo", "plain") / "summary.json", made)
    assert estimate.estimate(settings, measure=False).costs["teacher"].steps == 3 * 34  # of 32 rows


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"seconds": "soon"}', '{"seconds": 3.0, "from": "another version"}']
)
def test_a_timing_of_another_make_stops_nothing(text: str) -> None:
    Timing.path("teacher").parent.mkdir(parents=True)
    Timing.path("teacher").write_text(text)
    assert Timing.read("teacher") in (None, Timing(seconds=3.0))


@pytest.mark.slow
def test_a_ladder_needs_the_memory_that_was_estimated_and_the_next_plan_knows_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made_up.params(
        tmp_path, *LADDER, *(f"budget.{kind}.steps=10" for kind in ("pretraining", "teacher", "rung"))
    )
    plan = json.loads(run("-c", PLAN).stdout)
    models = {row["stage"]: row for row in plan["rows"]}
    stages = ("prepare", "pretrained", "teacher", "weights w1", "weights_activations w1a8")
    for stage in stages:
        run("-m", "flows.stage", *stage.split())
    again = json.loads(run("-c", PLAN).stdout)["planned_seconds"]
    for address, row in models.items():
        real = json.loads(Path(f".bitladder/timings/{address}.json").read_text())
        assert again[address] == pytest.approx(real["seconds"])  # what is known is not estimated
        assert plan["planned_seconds"][address] > 0
        assert 1 / 1.5 < row["peak_memory_mib"] / real["peak_memory_mib"] < 1.5, (row, real)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
