"""`equal_to` is resolved to steps where it can be, and refused with what is in its way where it cannot."""

from collections.abc import Callable
from pathlib import Path

import pytest
from changed_params import Change, Refusals

from pipeline.ladder.plan import plan
from pipeline.params_file import load

DIRECT = "weights_activations.w1a8_direct.duration"
AS_W1A8: Change = (DIRECT, {"equal_to": "w1a8"})
RANDOM: Change = ("weights_activations.w1a1_random.duration", {"equal_to": "w1a1"})
IN_EPOCHS: Change = ("budget.binary_activations", {"epochs": 20})
DIRECT_RUNG = {
    "bits": 1,
    "activation_bits": 1,
    "init_from": "teacher",
    "taught_by": "teacher",
    "data": "plain",
    "duration": {"equal_to": "w1a1"},
}


def test_everything_that_asks_sees_the_steps(params_file: Callable[..., Path]) -> None:
    """All five rungs' steps, less those of the rung that the arm begins with."""
    params = load(params_file(AS_W1A8))
    assert params.duration_of(params.rungs["w1a8_direct"]).steps == (5 - 1) * 100
    [row] = [row for row in plan(params).rows if row.name == "w1a8_direct"]
    assert row.duration == "400 steps"


def test_it_follows_the_rungs_it_is_equal_to(params_file: Callable[..., Path]) -> None:
    params = load(params_file(AS_W1A8, ("weights.w2.duration", {"steps": 250})))
    assert params.duration_of(params.rungs["w1a8_direct"]).steps == (4 - 1) * 100 + 250


def test_one_bit_activations_have_a_budget_of_their_own(params_file: Callable[..., Path]) -> None:
    params = load(params_file(("weights_activations.w1a1_random.duration", {"equal_to": "w1a1"})))
    assert params.duration_of(params.rungs["w1a1_random"]).steps == (6 - 5) * 100 + 600


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [(DIRECT, {"equal_to": "w1a9"})],
            f"{DIRECT}.equal_to: no rung 'w1a9'; did you mean 'w1a8'? known: w8",
        ),
        (
            [(DIRECT, {"equal_to": "w1a8_direct"})],
            f"{DIRECT}.equal_to: these durations depend on each other: w1a8_direct",
        ),
        (
            [AS_W1A8, ("weights_activations.w1a8.duration", {"equal_to": "w1a8_direct"})],
            "these durations depend on each other: w1a8_direct, w1a8",
        ),
        (
            [AS_W1A8, ("weights.w1.duration", {"epochs": 3})],
            f"{DIRECT}.equal_to: w8 is trained for steps, w1 for epochs of batches of 32; these do not "
            "add up; give all durations in steps (budget=hours)",
        ),
        (
            [("weights.w2.duration", {"equal_to": "w8"})],
            "weights.w2.duration.equal_to: nothing is left to train: w8 has 100 steps in all, "
            "w4 already 200 steps",
        ),
        (
            [(DIRECT, {"equal_to": "w1a8", "steps": 3})],
            "give exactly one of steps, epochs, equal_to; given: steps, equal_to",
        ),
        ([(DIRECT, {"equal_to": "w1a8", "steps": 3, "epochs": 1.0})], "given: steps, epochs, equal_to"),
        ([("budget.rung", {"equal_to": "w1a8"})], "budget.rung.equal_to: only for a rung's own duration"),
        (
            [
                ("weights.w8.duration", {"steps": 5}),
                ("weights.w4.duration", {"equal_to": "w4_too"}),
                (
                    "weights.w4_too",
                    {
                        "bits": 4,
                        "init_from": "teacher",
                        "taught_by": "teacher",
                        "data": "plain",
                        "duration": {"steps": 7},
                    },
                ),
            ],
            "budget.evaluations: 4 do not fit in 2 steps (weights.w4.duration)",
        ),
    ],
)
def test_what_cannot_be_equal_is_refused(refusals: Refusals, changes: list[Change], problem: str) -> None:
    assert [found for found in refusals(*changes) if problem in found]


def test_in_epochs_it_is_as_many_epochs(params_file: Callable[..., Path]) -> None:
    params = load(params_file(AS_W1A8, RANDOM, ("budget.rung", {"epochs": 3}), IN_EPOCHS))
    assert params.duration_of(params.rungs["w1a8_direct"]).epochs == (5 - 1) * 3
    assert params.duration_of(params.rungs["w1a1_random"]).epochs == (6 - 5) * 3 + 20


def test_a_mixed_budget_is_said_of_each_rung_that_follows_another(refusals: Refusals) -> None:
    both = (RANDOM, ("weights_activations.w1a1_direct", DIRECT_RUNG))
    problem, other = refusals(*both, IN_EPOCHS)
    assert problem.startswith(
        "weights_activations.w1a1_random.duration.equal_to: w8 is trained for steps, w1a1 for epochs"
    )
    assert problem.endswith("give all durations in steps (budget=hours)")
    assert other.startswith("weights_activations.w1a1_direct.duration.equal_to: w8 is trained for steps")


def test_epochs_of_batches_of_another_size_are_not_equal(refusals: Refusals) -> None:
    smaller = ("training.binary_activations.batch_size", 16)
    [problem] = refusals(RANDOM, ("budget.rung", {"epochs": 3}), IN_EPOCHS, smaller)
    assert "w8 is trained for epochs of batches of 32, w1a1 for epochs of batches of 16" in problem


def test_a_circle_of_parents_is_said_once(refusals: Refusals) -> None:
    [problem] = [found for found in refusals(AS_W1A8, ("weights.w8.init_from", "w1")) if "circle" in found]
    assert problem.startswith("weights.w8.init_from: a circle")
