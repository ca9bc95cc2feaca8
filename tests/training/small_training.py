"""A training of milliseconds with all that a training may have: dropout, tied and idle weights, scores."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.distillation.objective import Portion
from pipeline.params import Optimization
from pipeline.tasks.batches import Batch
from pipeline.training.loop import LossTerms, Phase, fit
from pipeline.training.parallel import World
from pipeline.training.resume import States, open_states
from pipeline.training.state import Point, Tensors, weights

NUM_STEPS = 7
IN_PHASES = (3, 1, 3)  # steps of each phase, for a training that has some
FACTS = {"seed": "0", "training.rung.learning_rate": "0.05", "code pipeline/training/loop.py": "0" * 64}
OPTIMIZATION = Optimization(
    batch_size=4, learning_rate=0.05, warmup_fraction=0.3, weight_decay=0.1, max_grad_norm=1.0, dropout=0.3
)


class KilledError(BaseException):
    """Ends a training as `kill -9` does: nothing is saved because of it."""


class Small(nn.Module):
    """The table's weights are read in and read out; `idle` never gets a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Linear(6, 6, bias=False)
        self.inner = nn.Linear(6, 6)
        self.out = nn.Linear(6, 6)
        self.out.weight = self.table.weight
        self.idle = nn.Parameter(torch.ones(2))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.count += self.training
        hidden = functional.dropout(torch.tanh(self.inner(self.table(x))), 0.3, self.training)
        found: Tensor = self.out(hidden)
        return found


@dataclass
class Ended:
    """What a finished training left."""

    weights: Tensors
    curve: list[Point]
    best_step: int

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Ended)
        same = self.weights.keys() == other.weights.keys() and all(
            torch.equal(tensor, other.weights[name]) for name, tensor in self.weights.items()
        )
        return same and (self.curve, self.best_step) == (other.curve, other.best_step)


def open_for(name: str = "w1", *, every: int = 2, **changed: str) -> States:
    return open_states(name, {**FACTS, **changed}, every=every, world=World())


def train(
    states: States | None = None,
    *,
    before_step: Callable[[int], None] = lambda step: None,
    in_score: Callable[[], None] = lambda: None,
    num_steps: int = NUM_STEPS,
    phases: Sequence[int] = (),
    num_evaluations: int = 3,
    device: str = "cpu",
) -> Ended:
    """Train from the same first weights, or from where `states` says it stopped.

    With `phases`, of so many steps each: with a loss and a learning rate of its own.
    """
    torch.manual_seed(0)
    model = Small().to(device)

    def batches(step: int) -> Batch:
        before_step(step)
        return {"x": torch.randn(4, 6, generator=torch.Generator().manual_seed(step))}

    def towards(places: int) -> LossTerms:
        def terms(model: nn.Module, batch: Batch, portion: Portion) -> dict[str, Tensor]:
            return {"error": (model(batch["x"]) - batch["x"].roll(places, dims=1)).square().mean()}

        return terms

    def score(model: nn.Module) -> float:
        in_score()
        # Up and down from step to step, so that the best is not the last.
        return float(model.get_parameter("table.weight").detach().abs().sum() * 100 % 1)

    fitted = fit(
        model,
        name="w1",
        batches=batches,
        course=[Phase(towards(n), steps, 0.05 / n) for n, steps in enumerate(phases or [num_steps], 1)],
        score=score,
        num_evaluations=num_evaluations,
        optimization=OPTIMIZATION,
        states=states,
    )
    assert model.table.weight is model.out.weight
    return Ended({k: t.clone() for k, t in weights(model).items()}, fitted.curve, fitted.best_step)


def kill_before(step: int) -> Callable[[int], None]:
    """What ends a training when it asks for the batch of this step."""

    def kill(now: int) -> None:
        if now == step:
            raise KilledError

    return kill


def signal_before(step: int, sent: signal.Signals = signal.SIGTERM) -> Callable[[int], None]:
    """What sends this process a signal when the training asks for the batch of this step."""

    def send(now: int) -> None:
        if now == step:
            signal.raise_signal(sent)

    return send
