"""Steps are timed from outside: the code that takes them is not told."""

import time

import torch

from pipeline.training.clock import StepClock


def take(steps: int, *, seconds: float) -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.AdamW([weight])
    for _ in range(steps):
        time.sleep(seconds)
        weight.grad = torch.ones(1)
        optimizer.step()


def test_every_step_but_the_first_has_a_duration() -> None:
    with StepClock() as clock:
        take(4, seconds=0.02)
    assert len(clock.ends) == 4
    assert len(clock.durations) == 3
    assert all(wall >= 0.02 for wall, _ in clock.durations)


def test_waiting_is_wall_time_only() -> None:
    with StepClock() as clock:
        take(2, seconds=0.05)
    [(wall, cpu)] = clock.durations
    assert cpu < wall


def test_what_comes_after_the_clock_is_not_timed() -> None:
    with StepClock() as clock:
        take(2, seconds=0.0)
    take(3, seconds=0.0)
    assert len(clock.ends) == 2
