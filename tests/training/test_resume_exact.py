"""Stopped at any moment and gone on with, a training ends with the bytes of one that was never stopped."""

import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_training import (
    IN_PHASES,
    NUM_STEPS,
    Ended,
    KilledError,
    kill_before,
    open_for,
    signal_before,
    train,
)

from pipeline import paths
from pipeline.training.resume import States

in_one_folder = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        os, "fsync", lambda _: None
    )  # hundreds of states; what power loss does is another test


@pytest.fixture(scope="module")
def uninterrupted() -> Ended:
    return train()


def steps_kept(states: States) -> list[int]:
    return [int(path.name.removeprefix("step-")) for path in sorted(states.folder.glob("step-*"))]


def go_on(**how: int) -> Ended:
    states = open_for(**how)
    ended = train(states)
    states.clear()
    assert not paths.states_dir("w1").exists()
    return ended


def test_states_change_nothing_of_a_training_that_is_not_stopped(uninterrupted: Ended) -> None:
    assert uninterrupted.best_step < NUM_STEPS, "the best weights are others than the last"
    for every in (1, 3, 8):
        assert go_on(every=every) == uninterrupted


@pytest.mark.parametrize("every", [1, 2, 3, 8])
@pytest.mark.parametrize("step", range(1, NUM_STEPS + 1))
def test_killed_before_any_step_with_states_at_any_interval(
    step: int, every: int, uninterrupted: Ended
) -> None:
    states = open_for(every=every)
    with pytest.raises(KilledError):
        train(states, before_step=kill_before(step))
    last = (step - 1) // every * every
    assert steps_kept(states) == [kept for kept in (last - every, last) if kept > 0]
    assert go_on(every=every) == uninterrupted


@pytest.fixture(scope="module")
def in_phases() -> Ended:
    return train(phases=IN_PHASES)


def test_phases_are_felt(uninterrupted: Ended, in_phases: Ended) -> None:
    assert [point.step for point in in_phases.curve if point.score] == [2, 3, 4, 5, 7]
    assert in_phases != uninterrupted


@pytest.mark.parametrize("every", [1, 2, 5, 100])
@pytest.mark.parametrize("step", range(1, NUM_STEPS + 1))
def test_killed_in_any_phase_and_between_phases(step: int, every: int, in_phases: Ended) -> None:
    states = open_for(every=every)
    with pytest.raises(KilledError):
        train(states, phases=IN_PHASES, before_step=kill_before(step))
    due = [kept for kept in range(1, step) if kept % every == 0 or kept in (3, 4)]
    assert steps_kept(states) == due[-2:], "a state is written at each phase's end"
    begun: list[int] = []
    states = open_for(every=every)
    assert train(states, phases=IN_PHASES, before_step=begun.append) == in_phases
    assert begun[0] == max(due, default=0) + 1
    states.clear()


@pytest.mark.parametrize("step", range(1, NUM_STEPS + 1))
def test_a_signal_ends_a_phase_after_the_step_with_a_state(step: int, in_phases: Ended) -> None:
    with pytest.raises(SystemExit):
        train(open_for(every=100), phases=IN_PHASES, before_step=signal_before(step))
    begun: list[int] = []
    states = open_for(every=100)
    assert train(states, phases=IN_PHASES, before_step=begun.append) == in_phases
    assert begun == list(range(step + 1, NUM_STEPS + 1))
    states.clear()


@pytest.mark.parametrize("evaluation", range(1, 6))
def test_killed_in_the_evaluation_between_two_phases(evaluation: int, in_phases: Ended) -> None:
    left = [evaluation]

    def kill() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KilledError

    with pytest.raises(KilledError):
        train(open_for(every=1), phases=IN_PHASES, in_score=kill)
    states = open_for(every=1)
    assert train(states, phases=IN_PHASES) == in_phases
    states.clear()


@in_one_folder
@given(st.lists(st.integers(1, NUM_STEPS), max_size=6), st.integers(1, NUM_STEPS))
def test_killed_any_number_of_times(uninterrupted: Ended, steps: list[int], every: int) -> None:
    for step in steps:
        begun: list[int] = []

        def kill(now: int, until: int = step, begun: list[int] = begun) -> None:
            begun.append(now)
            kill_before(until)(now)

        try:
            ended = train(open_for(every=every), before_step=kill)
        except KilledError:
            continue
        assert ended == uninterrupted  # it had come past that step before
    assert go_on(every=every) == uninterrupted


@pytest.mark.parametrize("evaluation", [1, 2, 3])
def test_killed_in_an_evaluation_it_begins_with_that_evaluation(
    evaluation: int, uninterrupted: Ended
) -> None:
    left = [evaluation]

    def kill() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KilledError

    with pytest.raises(KilledError):
        train(open_for(every=1), in_score=kill)
    begun: list[int] = []
    states = open_for(every=1)
    assert train(states, in_score=lambda: begun.append(0), before_step=begun.append) == uninterrupted
    assert begun[0] == 0
    states.clear()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", range(1, NUM_STEPS + 1))
def test_a_signal_ends_it_after_the_step_with_a_state(
    step: int, sent: signal.Signals, uninterrupted: Ended, caplog: pytest.LogCaptureFixture
) -> None:
    states = open_for(every=100)
    with pytest.raises(SystemExit if sent == signal.SIGTERM else KeyboardInterrupt) as stopped:
        train(states, before_step=signal_before(step, sent))
    if sent == signal.SIGTERM:
        assert stopped.value.code == 143
    assert f"w1: stopped at step {step} of {NUM_STEPS}; the same command goes on from there" in caplog.text
    assert steps_kept(states) == [step]
    begun: list[int] = []
    states = open_for(every=100)
    assert train(states, before_step=begun.append) == uninterrupted
    assert begun == list(range(step + 1, NUM_STEPS + 1))
    states.clear()


def test_a_signal_in_an_evaluation_does_not_wait_for_its_end(uninterrupted: Ended) -> None:
    def interrupted() -> None:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("went on evaluating")

    states = open_for(every=100)
    with pytest.raises(SystemExit):
        train(states, in_score=interrupted)
    assert steps_kept(states) == [2]
    assert go_on(every=100) == uninterrupted


def test_a_signal_without_states_says_that_nothing_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(before_step=signal_before(3, signal.SIGINT))
    assert "stopped at step 3 of 7; nothing of it is kept" in caplog.text


def test_signals_are_handled_afterwards_as_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    train()
    with pytest.raises(SystemExit):
        train(before_step=signal_before(2))
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_who_handled_signals_before_still_does() -> None:
    """flows/stage.py starts the grace time there, and the second Ctrl-C ends the process there."""
    seen: list[int] = []

    def handler(number: int, frame: object) -> None:
        seen.append(number)
        if len(seen) == 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(before_step=lambda step: [signal.raise_signal(signal.SIGINT) for _ in range(3)] and None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT] * 3


def test_killed_after_the_last_step_nothing_is_trained_again(uninterrupted: Ended) -> None:
    """Between the last step and the published model lies its description and the writing."""
    assert train(open_for(every=100)) == uninterrupted  # and then it dies
    begun: list[int] = []
    assert train(open_for(every=100), before_step=begun.append) == uninterrupted
    assert begun == []


def test_training_draws_from_no_generator_that_is_not_in_the_state() -> None:
    python, numpy = random.getstate(), np.random.get_state()[1].tolist()
    train()
    assert random.getstate() == python
    assert np.random.get_state()[1].tolist() == numpy


def test_the_learning_rate_and_the_moments_go_on_too(uninterrupted: Ended) -> None:
    """Were AdamW's moments or the schedule begun anew, the weights would be others: so the test can fail."""
    with pytest.raises(KilledError):
        train(open_for(every=3), before_step=kill_before(5))
    states = open_for(every=3)
    found = states.newest()
    assert found is not None
    for name in list(found.tensors):
        if name.startswith("adamw."):
            found.tensors[name] = torch.zeros_like(found.tensors[name])
    states.newest = lambda: found  # type: ignore[method-assign]
    assert train(states) != uninterrupted


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("step", [2, 4, 7])
def test_on_a_gpu_it_goes_on_exactly_too(step: int) -> None:
    """Its generator, from which dropout draws there, is in the state."""
    whole = train(device="cuda")
    with pytest.raises(KilledError):
        train(open_for(every=2), before_step=kill_before(step), device="cuda")
    assert train(open_for(every=2), device="cuda") == whole
