"""What training costs, worked out by hand from made-up measurements."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ladder import cost
from pipeline.ladder.cost import Cost, Rehearsed, Rows, costs, training_seconds, undisturbed
from pipeline.ladder.plan import plan
from pipeline.params import Model, Params, load
from pipeline.rungs import Duration, Phase
from pipeline.training.parallel import World
from pipeline.training.resume import States

DEFAULT = load(Path(__file__).parents[2] / "params.yaml")
ROWS = Rows(
    train=5400,
    augmented=16200,
    selection=600,
    validation=1000,
    judged=1000,
    seconds_per_row=0.001,
    rehearsed=(800, 64),
    origin="made",
    tokens={"32": 16.0},
)
MEASURED = Rehearsed(
    seconds_per_step=0.5,
    seconds_per_row=0.01,
    other_seconds=5.0,
    peak_mib=500.0,
    gpu_mib=None,
    threads=1,
    steps=3,
    seconds_per_state=2.0,
    pack_seconds=4.0,
    packed_seconds_per_row=0.005,
    compared_seconds_per_row=0.035,
)


@pytest.fixture(autouse=True)
def _no_model_is_made_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the demo has run, its model's own vocabulary is counted in place of the guessed one."""
    monkeypatch.chdir(tmp_path)


def test_a_stage_is_steps_states_evaluations_unread_rows_and_the_rest() -> None:
    seconds = training_seconds(MEASURED, steps=100, states=3, evaluations=4, rows=ROWS, num_train=5400)
    scored = 5 * 600 * 0.01  # the fifth time is for the record
    unread = (5400 + 600 - 864) * 0.001
    assert seconds == pytest.approx(100 * 0.5 + 3 * 2.0 + scored + unread + 5.0)


@given(steps=st.integers(0, 300), every=st.integers(1, 100))
def test_states_are_counted_as_training_writes_them(steps: int, every: int) -> None:
    states = States("w1", {}, every=every, world=World())
    due = [step for step in range(1, steps + 1) if states.is_due(step, steps)]
    assert cost.count_states(steps, every=every) == len(due)


def test_packing_is_its_passes_over_the_rows_and_the_rest() -> None:
    assert cost.pack_seconds(MEASURED, ROWS) == pytest.approx(4.0 + 1000 * (0.035 + 0.001))


def test_one_slow_step_changes_nothing_and_longer_batches_take_longer() -> None:
    assert cost.seconds_per_step([1.0, 9.0, 1.0], [10, 10, 10], 10.0) == pytest.approx(1.0)
    assert cost.seconds_per_step([1.0, 2.0, 3.0], [10, 20, 30], 25.0) == pytest.approx(2.5)


@given(wall=st.floats(0.001, 100), share=st.floats(0.01, 1), threads=st.integers(1, 8))
def test_other_work_is_not_counted(wall: float, share: float, threads: int) -> None:
    """`share` of each thread's time on the wall was this work's."""
    alone = undisturbed((wall, wall * share * threads), threads)
    assert alone <= wall
    assert alone == pytest.approx(min(wall, cost.IDLE * share * wall))


def test_a_gpus_time_is_the_walls() -> None:
    assert undisturbed((3.0, 0.1), 0) == 3.0


def test_without_a_measurement_steps_and_disk_are_known_and_time_is_not() -> None:
    found = costs(DEFAULT, {}, None, copies=2)
    assert list(found) == ["pretrained", "teacher", *DEFAULT.rungs]
    assert (found["w8"].steps, found["w1a1"].steps) == (100, 600)
    assert all(model.seconds is None and model.peak_memory_mib is None for model in found.values())
    assert all(model.disk_mib for model in found.values())


def test_dvcs_copies_double_the_disk_and_not_the_states() -> None:
    once, twice = (costs(DEFAULT, {}, None, copies=number)["teacher"] for number in (1, 2))
    assert twice.disk_mib == pytest.approx(2 * (once.disk_mib or 0))
    assert twice.state_mib == once.state_mib


def test_a_packed_model_is_in_mlflow_too() -> None:
    packed, left_out = (
        costs(DEFAULT.model_copy(update={"deliver": deliver}), {}, None, copies=1)["w8"].disk_mib or 0
        for deliver in (["w8"], ["w4"])
    )
    size = next(row.mib for row in plan(DEFAULT).rows if row.name == "w8")
    assert size is not None
    assert packed - left_out == pytest.approx(2 * (size + cost.SMALL_FILES_BYTES / 2**20), rel=0.01)


def test_a_state_has_the_weights_four_times() -> None:
    found = costs(DEFAULT, {}, None, copies=1)["teacher"]
    small = cost.SMALL_FILES_BYTES / 2**20
    assert found.disk_mib is not None
    assert found.state_mib == pytest.approx(cost.STATES * 4 * (found.disk_mib - small), rel=0.01)


def test_a_split_rung_needs_twice_the_disk_and_a_narrow_one_less() -> None:
    def found(**changes: object) -> Cost:
        w1 = DEFAULT.weights["w1"].model_copy(update=changes)
        params = DEFAULT.model_copy(update={"weights": {**DEFAULT.weights, "w1": w1}, "deliver": ["w8"]})
        return costs(params, {}, None, copies=1)["w1"]

    one, two, narrow = found(), found(split=True), found(width=0.5)
    for name in ("disk_mib", "state_mib"):
        assert getattr(two, name) == pytest.approx(2 * getattr(one, name), rel=0.05)
        assert 0.4 * getattr(one, name) < getattr(narrow, name) < 0.8 * getattr(one, name)


def in_epochs() -> Params:
    two = dict.fromkeys(("rung", "binary_activations"), Duration(epochs=2.0))
    return DEFAULT.model_copy(update={"budget": DEFAULT.budget.model_copy(update=two)})


def test_epochs_are_counted_once_the_rows_are() -> None:
    names = ("w8", "w1")
    unknown = costs(
        in_epochs(), dict.fromkeys(names, MEASURED), replace(ROWS, train=None, augmented=None), copies=2
    )
    assert [unknown[name].steps for name in names] == [None, None]
    assert [unknown[name].seconds for name in names] == [None, None]
    known = costs(in_epochs(), dict.fromkeys(names, MEASURED), ROWS, copies=2)
    assert [known[name].steps for name in names] == [2 * 169, 2 * 507]  # w1 learns from augmented rows


def test_a_model_that_comes_trained_takes_no_steps() -> None:
    model = Model.model_validate({"name": "mine", "source": "path", "location": "nowhere"})
    found = costs(DEFAULT.model_copy(update={"model": model}), {"pretrained": MEASURED}, ROWS, copies=2)
    assert found["pretrained"].steps == 0
    assert found["pretrained"].seconds == pytest.approx(MEASURED.other_seconds)


def test_each_further_phase_is_scored_and_written_once_more() -> None:
    phases = [
        Phase(share=0.5, distillation=DEFAULT.distillation.model_copy(update={"logits": 0.0})),
        Phase(share=0.5, distillation=DEFAULT.distillation.model_copy(update={"directions": 2.0})),
    ]
    rung = DEFAULT.rungs["w2"].model_copy(update={"phases": phases})
    changed = DEFAULT.model_copy(update={"weights": {**DEFAULT.weights, "w2": rung}})
    one, two = (costs(params, {"w2": MEASURED}, ROWS, copies=1)["w2"] for params in (DEFAULT, changed))
    assert two.steps == one.steps
    assert two.seconds == pytest.approx(one.seconds + 600 * 0.01 + 2.0)
    assert (cost.terms_of(changed, rung).logits, cost.terms_of(changed, rung).directions) == (1.0, 2.0)
