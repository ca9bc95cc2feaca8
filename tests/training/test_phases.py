"""Phases: they take the rung's steps exactly, each begins anew from the best weights, states know where."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_loop import OPTIMIZATION, Counting, batches, squared
from torch import Tensor, nn

from pipeline.distillation.objective import WHOLE, Portion
from pipeline.tasks.batches import Batch
from pipeline.training.loop import fit
from pipeline.training.phases import Phase, number_at, share_out


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(6, 10_000))
def test_shares_of_the_steps_add_up_exactly(parts: list[float], num_steps: int) -> None:
    shares = [part / math.fsum(parts) for part in parts]
    found = share_out(num_steps, shares)
    assert sum(found) == num_steps
    assert min(found) >= 1
    for own, share in zip(found, shares, strict=True):
        assert abs(own - share * num_steps) <= len(shares) + 1


def test_shares_worked_by_hand() -> None:
    assert share_out(100, [0.5, 0.5]) == [50, 50]
    assert share_out(10, [0.9, 0.1]) == [9, 1]
    assert share_out(3, [0.98, 0.01, 0.01]) == [1, 1, 1]
    with pytest.raises(ValueError, match="1 steps cannot be shared by 2 phases"):
        share_out(1, [0.5, 0.5])


def test_a_phase_ends_with_its_last_step() -> None:
    assert [number_at(step, [3, 4, 7]) for step in range(8)] == [0, 0, 0, 0, 1, 2, 2, 2]


def course(*num_steps: int, learning_rate: float = 0.1) -> list[Phase]:
    return [Phase(squared, steps, learning_rate) for steps in num_steps]


def run(model: nn.Module, phases: list[Phase], scores: list[float | None]) -> tuple[list[int], int]:
    """The steps of the curve's points that have a score, and the best step."""
    left = iter(scores)
    fitted = fit(
        model,
        name="w1",
        batches=batches,
        course=phases,
        score=lambda _: next(left),
        num_evaluations=2,
        optimization=OPTIMIZATION,
    )
    assert fitted.num_steps == sum(phase.num_steps for phase in phases)
    return [point.step for point in fitted.curve if point.score is not None], fitted.best_step


def test_it_is_scored_at_each_end_and_steps_are_counted_over_all_phases() -> None:
    assert run(Counting(), course(3, 5), [0.1, 0.2, 0.3]) == ([3, 4, 8], 8)


def test_each_phase_begins_with_the_best_weights_so_far_and_keeps_none_of_the_optimizer() -> None:
    """The weight at a phase's first forward pass, and AdamW's first step: the learning rate, whatever came
    before, since its moments are new."""
    begun: list[float] = []

    def watched(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        begun.append(float(model.weight.detach()))
        return squared(model, batch)

    phases = [Phase(squared, 4, 0.1), Phase(watched, 4, 0.03)]
    model = Counting()
    run(model, phases, [0.9, 0.1, 0.2])  # the best is of step 4
    assert begun[1] == pytest.approx(begun[0] - 0.03, abs=1e-6)
    assert float(model.weight.detach()) == begun[0], "no later phase was better, so its weights are kept"


def test_the_schedule_begins_again() -> None:
    """Without warm-up the first step of a phase has its whole learning rate and the last one the least."""
    seen: list[float] = []

    def watched(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        seen.append(float(model.weight.detach()))
        return squared(model, batch)

    run(Counting(), [Phase(watched, 4, 0.1), Phase(watched, 4, 0.1)], [None] * 3)
    taken = [before - after for before, after in pairwise(seen)]
    assert taken[0] == pytest.approx(0.1, rel=1e-3)
    assert taken[4] == pytest.approx(0.1, rel=1e-3)
    assert taken[2] < 0.06


def test_two_phases_of_one_loss_are_not_one_training_as_long() -> None:
    one, two = Counting(), Counting()
    run(one, course(8), [0.1, 0.2])
    run(two, course(4, 4), [0.1, 0.2])
    assert not torch.equal(one.weight, two.weight)
