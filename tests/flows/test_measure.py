"""A kind of training is measured once; what was measured is kept for as long as it holds."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import kinds, measure
from flows.kinds import key
from flows.measure import CACHE, SCRATCH
from flows.measured import Measured
from pipeline.ladder import cost
from pipeline.params import Params, load
from pipeline.rungs import Duration

DEFAULT = load(Path(__file__).parents[2] / "params.yaml")
NAMES = ("pretrained", "teacher", *DEFAULT.rungs)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(*, wall: float = 0.1, cpu: float = 0.1) -> dict[str, Any]:
    """What a rehearsal tells of a training: four steps after the first, a state written in the third."""
    usual, with_state = (wall, cpu), (wall + 0.4, cpu + 0.4)
    return {
        "seconds": (3.0, 3.0),
        "durations": [usual, usual, with_state, usual],
        "widths": [10, 10, 10, 10],
        "state_after": 3,
        "steps": 5,
        "peak_mib": 500.0,
        "gpu_mib": None,
        "threads": 1,
        "scored": 50,
        "scoring": (0.5, 0.5),
        "packing": (2.0, 2.0),
        "packed_on": 50,
        "packed_scoring": (0.25, 0.25),
        "kernel_scoring": (0.05, 0.05),
        "start_seconds": (4.0, 4.0),
    }


ROWS = {"train": 5400, "selection": 600, "validation": 1000, "judged": 1000, "rehearsed": [800, 50]}
PIECES = {
    "rows": {**ROWS, "origin": "made", "seconds": (2.0, 2.0), "start_seconds": (4.0, 4.0)},
    "lengths": {"tokens": {"32": 15.0}, "seconds_per_row": (0.001, 0.001), "start_seconds": (4.0, 4.0)},
    "augment": {
        "rows": [60, 60, 240],
        "seconds": [(3.0, 3.0), (0.6, 0.6), (2.4, 2.4)],
        "left_out": [],
        "start_seconds": (4.0, 4.0),
    },
}


def keep(params: Params, **kinds: dict[str, Any]) -> None:
    measure.write_cache({key(params, name): answer for name, answer in (PIECES | kinds).items()})


def known(params: Params = DEFAULT) -> Measured:
    return measure.measure(params, anew=False, say=print)


def test_what_was_never_measured_is_not_known() -> None:
    found = known()
    assert (found.kinds, found.rows, found.failures) == ({}, None, {})


def test_a_steps_time_is_that_of_the_expected_length_without_the_state() -> None:
    keep(DEFAULT, w1a8=trained())
    kind = known().kinds["w1a8"]
    assert kind.seconds_per_step == pytest.approx(0.1 * 15 / 10)
    assert kind.seconds_per_state == pytest.approx(0.4)
    assert kind.seconds_per_row == pytest.approx(0.01)
    # 3 s of the stage: 5 steps of 0.1 s, 0.4 s of a state, twice 0.5 s of scoring; and 4 s of the start.
    assert kind.other_seconds == pytest.approx(4.0 + 3.0 - 0.5 - 0.4 - 1.0)
    assert kind.steps == 3


def test_packing_scores_three_times_where_there_are_kernels() -> None:
    keep(DEFAULT, w1a8=trained())
    kind = known().kinds["w1a8"]
    assert kind.compared_seconds_per_row == pytest.approx((0.5 + 0.25 + 0.05) / 50)
    assert kind.packed_seconds_per_row == pytest.approx(0.05 / 50)
    assert kind.pack_seconds == pytest.approx(4.0 + 2.0 - 0.8)


def test_packing_scores_twice_where_there_are_none() -> None:
    answer = trained()
    del answer["kernel_scoring"]
    keep(DEFAULT, w1a8=answer)
    kind = known().kinds["w1a8"]
    assert kind.compared_seconds_per_row == pytest.approx((0.5 + 0.25) / 50)
    assert kind.packed_seconds_per_row == pytest.approx(0.25 / 50)
    assert kind.pack_seconds == pytest.approx(4.0 + 2.0 - 0.75)


def test_on_a_gpu_torch_evaluates_and_the_kernels_are_only_compared() -> None:
    keep(DEFAULT, w1a8={**trained(), "gpu_mib": 100.0})
    kind = known().kinds["w1a8"]
    assert kind.packed_seconds_per_row == pytest.approx(0.25 / 50)
    assert kind.compared_seconds_per_row == pytest.approx((0.5 + 0.25 + 0.05) / 50)


def test_beside_other_work_the_time_of_the_processors_counts() -> None:
    keep(DEFAULT, w1a8=trained(wall=0.9, cpu=0.1))
    kind = known().kinds["w1a8"]
    assert kind.seconds_per_step == pytest.approx(cost.IDLE * 0.1 * 15 / 10)
    assert kind.share < 0.3


def test_rungs_of_one_kind_are_measured_once() -> None:
    keep(DEFAULT, w1a8=trained())
    kinds = known().kinds
    assert kinds["w1a8_direct"] == kinds["w1a8"]
    assert sorted(kinds) == ["w1a8", "w1a8_direct"]


def test_augmentation_is_a_start_and_so_much_per_new_row() -> None:
    keep(DEFAULT)
    assert known().augment_seconds == pytest.approx(4.0 + 3.0 - 60 * 0.01 + 0.01 * 2 * 5400)


def test_what_the_model_cannot_augment_is_not_counted() -> None:
    without = {**PIECES["augment"], "left_out": ["contextual"]}
    keep(DEFAULT, augment=without)
    found = known()
    assert found.rows is not None
    assert found.rows.augmented == 2 * 5400
    assert found.augment_seconds == pytest.approx(4.0 + 3.0 - 60 * 0.01 + 0.01 * 5400)


def test_rows_made_already_are_counted() -> None:
    keep(DEFAULT)
    summary = Path("data/demo/augmented/summary.json")
    summary.parent.mkdir(parents=True)
    summary.write_text(json.dumps({"rows": {"original": 5400, "embedding": 17}}))
    found = known().rows
    assert found is not None
    assert found.augmented == 5417


@pytest.mark.parametrize("text", ["", "[]", "{", '{"setting": "another", "pieces": {"x": {}}}'])
def test_a_cache_that_is_damaged_or_of_another_setting_is_no_cache(text: str) -> None:
    CACHE.parent.mkdir(parents=True)
    CACHE.write_text(text)
    assert measure.read_cache() == {}


def test_other_threads_are_another_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(DEFAULT, teacher=trained())
    assert measure.read_cache()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    kinds._setting.cache_clear()
    assert measure.read_cache() == {}
    monkeypatch.undo()
    kinds._setting.cache_clear()


def test_each_piece_is_kept_as_it_comes_and_a_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def answers(folder: Path) -> Iterator[dict[str, Any]]:
        assert json.loads((folder / "request.json").read_text())["rungs"][:2] == ["w8", "w4"]
        yield {"piece": "start", "rows": (1.0, 1.0), "training": (4.0, 4.0)}
        for piece in ("rows", "lengths"):
            yield {"piece": piece, **PIECES[piece]}
        yield {"piece": "teacher", **trained()}
        assert len(measure.read_cache()) == 3
        yield {"piece": "w8", "error": "killed"}

    monkeypatch.setattr(measure, "_answers", answers)
    found = measure.measure(DEFAULT, anew=True, say=told.append)
    assert list(found.kinds) == ["teacher"]
    assert found.failures == {"w8": "killed"}
    assert told[1:] == ["plan: teacher: 100 ms a step, 500 MiB at its peak", "plan: w8: not measured: killed"]


Change = Callable[[Params], Params]


def changed(field: str, **values: object) -> Change:
    return lambda params: params.model_copy(update={field: getattr(params, field).model_copy(update=values)})


@pytest.mark.parametrize(
    "change",
    [
        changed("training", gradients="bfloat16"),
        changed("training", rung=DEFAULT.training.rung.model_copy(update={"batch_size": 8})),
        changed("training", rung=DEFAULT.training.rung.model_copy(update={"dropout": 0.1})),
        changed("distillation", labels=1.0),
        changed("task", max_length=20),
    ],
)
def test_what_a_step_depends_on_makes_another_kind(change: Change) -> None:
    assert key(change(DEFAULT), "w8") != key(DEFAULT, "w8")


@pytest.mark.parametrize(
    "change",
    [
        changed("budget", rung=Duration(steps=7)),
        changed("training", rung=DEFAULT.training.rung.model_copy(update={"learning_rate": 0.1})),
        changed("training", checkpoint_every=7),
        lambda params: params.model_copy(update={"seed": 7}),
    ],
)
def test_how_long_and_how_fast_it_learns_makes_no_other_kind(change: Change) -> None:
    assert key(change(DEFAULT), "w8") == key(DEFAULT, "w8")


def test_each_width_is_a_kind_of_its_own() -> None:
    assert len({key(DEFAULT, name) for name in NAMES}) == len(NAMES) - 2  # w1a8_direct and w1a1_random


def test_folders_of_rehearsals_that_died_are_removed() -> None:
    dead, alive = SCRATCH / "999999999", SCRATCH / str(os.getppid())
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    stray = SCRATCH / ".DS_Store"
    stray.touch()
    with measure._scratch() as own:
        assert sorted(SCRATCH.iterdir()) == sorted([alive, own, stray])
    assert sorted(SCRATCH.iterdir()) == sorted([alive, stray])
