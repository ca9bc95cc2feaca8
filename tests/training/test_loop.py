"""The loop: the best checkpoint is kept, the curve tells what happened, a loss that is no number ends it."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from pipeline.distillation.objective import WHOLE, Portion
from pipeline.params import Optimization
from pipeline.tasks.batches import Batch
from pipeline.training.loop import Fitted, LossTerms, Phase, fit, phase_at
from pipeline.training.optimizer import DivergedError

OPTIMIZATION = Optimization(
    batch_size=4, learning_rate=0.1, warmup_fraction=0.0, weight_decay=0.0, max_grad_norm=1.0, dropout=0.0
)


class Counting(nn.Module):
    """One weight; `taken` is how often it was used in training."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([5.0]))
        self.taken = 0

    def forward(self, x: Tensor) -> Tensor:
        self.taken += self.training
        return self.weight * x


def batches(step: int) -> Batch:
    return {"x": torch.ones(4), "labels": torch.zeros(4)}


def squared(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
    return {"error": model(batch["x"]).square().mean()}


def run(
    model: nn.Module,
    *,
    terms: LossTerms = squared,
    scores: list[float | None] | None = None,
    num_steps: int = 6,
    num_evaluations: int = 3,
) -> Fitted:
    """Fit with these scores in turn; without a list there is nothing to score."""
    left = None if scores is None else iter(scores)
    return fit(
        model,
        name="w1",
        batches=batches,
        course=[Phase(terms, num_steps, 0.1)],
        score=None if left is None else lambda _: next(left),
        num_evaluations=num_evaluations,
        optimization=OPTIMIZATION,
    )


def weight_after(num_steps: int) -> float:
    """The weight after so many of six steps, from a run whose score was best there."""
    return _weights()[num_steps]


def _weights() -> dict[int, float]:
    seen: dict[int, float] = {}
    model = Counting()

    def watch(_: nn.Module) -> float:
        seen[model.taken] = float(model.weight.detach())
        return 0.0

    fit(
        model,
        name="watched",
        batches=batches,
        course=[Phase(squared, 6, 0.1)],
        score=watch,
        num_evaluations=6,
        optimization=OPTIMIZATION,
    )
    return seen


@pytest.mark.parametrize(
    ("scores", "best_step"),
    [
        ([0.1, 0.9, 0.5], 4),
        ([0.9, 0.1, 0.5], 2),
        ([0.5, 0.5, 0.1], 4),  # a tie goes to the one trained longer
        ([None, 0.2, None], 4),  # undefined is never best
        ([-0.3, None, None], 2),  # not even when the other is negative
        ([None, None, None], 6),  # nothing to choose by: the last
    ],
)
def test_the_best_checkpoint_is_kept(scores: list[float | None], best_step: int) -> None:
    model = Counting()
    fitted = run(model, scores=scores)
    assert (fitted.best_step, fitted.num_steps) == (best_step, 6)
    assert float(model.weight.detach()) == weight_after(best_step)


def test_without_a_score_the_last_weights_stay() -> None:
    model = Counting()
    assert run(model).best_step == 6
    assert float(model.weight.detach()) == weight_after(6)


def test_without_a_score_the_curve_does_not_depend_on_evaluations() -> None:
    for num_evaluations in (0, 3, 7):
        fitted = run(Counting(), num_steps=40, num_evaluations=num_evaluations)
        assert [point.step for point in fitted.curve] == list(range(4, 41, 4))
        assert all(point.score is None for point in fitted.curve)


def test_the_last_step_is_always_evaluated() -> None:
    """A peer evaluates at the end of the first epoch's length, and the last weights perhaps never."""
    for num_steps in range(1, 12):
        for num_evaluations in range(1, num_steps + 1):
            fitted = run(
                Counting(), scores=[0.0] * num_steps, num_steps=num_steps, num_evaluations=num_evaluations
            )
            scored = [point.step for point in fitted.curve if point.score is not None]
            assert scored[-1] == num_steps
            assert len(scored) == num_evaluations


def test_the_curve_has_the_mean_loss_since_the_point_before_and_scores_where_measured() -> None:
    losses: list[float] = []

    def kept(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        found = squared(model, batch)
        losses.append(float(found["error"].detach()))
        return found

    fitted = run(Counting(), terms=kept, scores=[0.1, 0.2], num_steps=40, num_evaluations=2)
    steps = [point.step for point in fitted.curve]
    assert steps == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
    for before, point in zip([0, *steps], fitted.curve, strict=False):
        assert point.loss == pytest.approx(sum(losses[before : point.step]) / 4)
    assert {point.step: point.score for point in fitted.curve if point.score} == {20: 0.1, 40: 0.2}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_it_naming_the_step_and_the_terms(value: float) -> None:
    def breaks(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        return {**squared(model, batch), "broken": torch.tensor(value if model.taken >= 3 else 0.0)}

    with pytest.raises(
        DivergedError, match=rf"w1: diverged at step 3: .*'error': \d.*'broken': {value}"
    ) as caught:
        run(Counting(), terms=breaks)
    assert caught.value.exit_code == 5


def test_a_gradient_that_is_no_number_ends_it_even_at_the_last_step() -> None:
    """The loss is finite there: no later step would notice, and the weights would be published."""

    def breaks(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        root = (model(batch["x"]).mean() * 0).sqrt() if model.taken == 5 else torch.zeros(())
        return {"root": root + squared(model, batch)["error"]}

    model = Counting()
    with pytest.raises(DivergedError, match=r"diverged at step 6: loss \d.*gradient nan"):
        run(model, terms=breaks)
    assert model.weight.isfinite().all()


def test_the_model_trains_in_training_mode_and_is_left_in_eval_mode() -> None:
    modes: list[bool] = []

    def watched(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        modes.append(model.training)
        return squared(model, batch)

    model = Counting()
    run(model, terms=watched)
    assert modes == [True] * 6
    assert not model.training


def test_terms_are_summed() -> None:
    def halves(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        half = squared(model, batch)["error"] / 2
        return {"one": half, "other": half}

    one, other = Counting(), Counting()
    run(one)
    run(other, terms=halves)
    assert torch.equal(one.weight, other.weight)


def test_large_gradients_are_clipped() -> None:
    def steep(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        return {"steep": 1e9 * model(batch["x"]).mean()}

    model = Counting()
    run(model, terms=steep, num_steps=1, num_evaluations=1)
    assert float(model.weight.grad) == pytest.approx(1.0, rel=1e-5)


# phases


def test_a_phase_ends_with_its_last_step() -> None:
    assert [phase_at(step, [3, 4, 7]) for step in range(8)] == [0, 0, 0, 0, 1, 2, 2, 2]


def course(*num_steps: int, learning_rate: float = 0.1) -> list[Phase]:
    return [Phase(squared, steps, learning_rate) for steps in num_steps]


def run_phases(model: nn.Module, phases: list[Phase], scores: list[float | None]) -> tuple[list[int], int]:
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
    assert run_phases(Counting(), course(3, 5), [0.1, 0.2, 0.3]) == ([3, 4, 8], 8)


def test_each_phase_begins_with_the_best_weights_so_far_and_keeps_none_of_the_optimizer() -> None:
    """The weight at a phase's first forward pass, and AdamW's first step: the learning rate, whatever came
    before, since its moments are new."""
    begun: list[float] = []

    def watched(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        begun.append(float(model.weight.detach()))
        return squared(model, batch)

    phases = [Phase(squared, 4, 0.1), Phase(watched, 4, 0.03)]
    model = Counting()
    run_phases(model, phases, [0.9, 0.1, 0.2])  # the best is of step 4
    assert begun[1] == pytest.approx(begun[0] - 0.03, abs=1e-6)
    assert float(model.weight.detach()) == begun[0], "no later phase was better, so its weights are kept"


def test_the_schedule_begins_again() -> None:
    """Without warm-up the first step of a phase has its whole learning rate and the last one the least."""
    seen: list[float] = []

    def watched(model: nn.Module, batch: Batch, portion: Portion = WHOLE) -> dict[str, Tensor]:
        seen.append(float(model.weight.detach()))
        return squared(model, batch)

    run_phases(Counting(), [Phase(watched, 4, 0.1), Phase(watched, 4, 0.1)], [None] * 3)
    taken = [before - after for before, after in pairwise(seen)]
    assert taken[0] == pytest.approx(0.1, rel=1e-3)
    assert taken[4] == pytest.approx(0.1, rel=1e-3)
    assert taken[2] < 0.06


def test_two_phases_of_one_loss_are_not_one_training_as_long() -> None:
    one, two = Counting(), Counting()
    run_phases(one, course(8), [0.1, 0.2])
    run_phases(two, course(4, 4), [0.1, 0.2])
    assert not torch.equal(one.weight, two.weight)
