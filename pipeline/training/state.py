"""Everything a training is between two steps, as named tensors and plain values, and back.

What depends on the step alone is not here: batches and the learning rate are functions of it. Neither are
python's and numpy's generators: nothing in training draws from them. Names of the tensors:

    latent.NAME                 the model's weights and buffers, before quantization; tied ones once
    adamw.NAME.WHAT             moments and step counter of each trained parameter
    best.NAME                   the weights of the best evaluation so far
    losses                      of each step since the curve's last point
    processN.cpu, processN.cuda torch's generators in process N
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.training.parallel import World

Tensors = dict[str, Tensor]
Shares = dict[str, float]


@dataclass(frozen=True)
class Point:
    """One row of a training curve: the mean loss since the last point, the score where measured.

    Attributes:
        sign_flips: share of latent weights whose sign has changed, by tensor; empty where nobody looked.
    """

    step: int
    loss: float
    score: float | None
    sign_flips: Shares = field(default_factory=dict)


@dataclass
class Reached:
    """How far a run has come, beside what model, optimizer and generators hold.

    Attributes:
        step: the last step taken; 0 before the first.
        losses: of each step since the curve's last point, on the device.
        best_state: the weights of the best evaluation so far; None while there is none.
    """

    step: int = 0
    curve: list[Point] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    best_score: float = -math.inf
    best_step: int = 0
    best_state: Tensors | None = None

    @property
    def last_point(self) -> int:
        """The step of the curve's last point; 0 while there is none."""
        return self.curve[-1].step if self.curve else 0

    def keep_if_best(self, model: nn.Module, score: float | None) -> None:
        """Later wins a tie: it has been trained for longer."""
        if score is not None and score >= self.best_score:
            self.best_score, self.best_step = score, self.step
            self.best_state = {name: tensor.clone() for name, tensor in weights(model).items()}

    def add_point(self, mean_loss: float, score: float | None, sign_flips: Shares) -> Point:
        self.curve.append(Point(self.step, mean_loss, score, sign_flips))
        self.losses = []
        return self.curve[-1]


@dataclass(frozen=True)
class State:
    """A training between two steps, as it is written: tensors, and what JSON can hold."""

    tensors: Tensors
    values: dict[str, Any]


def weights(model: nn.Module) -> Tensors:
    """The model's tensors by name, not copied; one that goes by several names (tied) under the first."""
    found: Tensors = {}
    seen: set[tuple[int, torch.Size]] = set()
    for name, tensor in model.state_dict().items():
        place = (tensor.data_ptr(), tensor.shape)
        if tensor.numel() == 0 or place not in seen:
            found[name] = tensor.detach()
        seen.add(place)
    return found


@torch.no_grad()
def put_weights(model: nn.Module, state: Tensors) -> None:
    """Copy what `weights` gave back into the model, in place, so that tied tensors stay tied."""
    own = weights(model)
    assert own.keys() == state.keys()
    for name, tensor in own.items():
        tensor.copy_(state[name])


def capture(model: nn.Module, optimizer: torch.optim.Optimizer, reached: Reached, world: World) -> State:
    """Everything, on the CPU. Every process calls it; the result is whole in process 0."""
    device = next(model.parameters()).device
    tensors = _prefixed("latent", weights(model))
    for name, parameter in model.named_parameters():
        tensors |= _prefixed(f"adamw.{name}", optimizer.state.get(parameter, {}))
    tensors |= _prefixed("best", reached.best_state or {})
    if reached.losses:
        tensors["losses"] = torch.stack(reached.losses)
    generators = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        generators["cuda"] = torch.cuda.get_rng_state(device)
    for what, own in generators.items():
        tensors |= {f"process{rank}.{what}": each for rank, each in enumerate(world.gather(own))}
    values = {
        "step": reached.step,
        "curve": [[point.step, point.loss, point.score, point.sign_flips] for point in reached.curve],
        "best_score": reached.best_score if reached.best_state is not None else None,
        "best_step": reached.best_step,
    }
    return State({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, values)


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, state: State, world: World) -> Reached:
    """Put model, optimizer and this process's generators where they were; return how far that was."""
    device = next(model.parameters()).device
    put_weights(model, _under("latent", state.tensors))
    for name, parameter in model.named_parameters():
        # Copies: the file's own memory may begin at any byte, and vector code may treat its ends otherwise.
        moments = _under(f"adamw.{name}", state.tensors)
        if moments:
            optimizer.state[parameter] = {
                what: tensor.to(device, copy=True) for what, tensor in moments.items()
            }
    own = _under(f"process{world.rank}", state.tensors)
    torch.set_rng_state(own["cpu"].clone())
    if "cuda" in own:
        torch.cuda.set_rng_state(own["cuda"].clone(), device)
    best = {name: tensor.to(device, copy=True) for name, tensor in _under("best", state.tensors).items()}
    score, losses = state.values["best_score"], state.tensors.get("losses")
    return Reached(
        step=state.values["step"],
        curve=[Point(*row) for row in state.values["curve"]],
        losses=list(losses.to(device, copy=True).unbind()) if losses is not None else [],
        best_score=-math.inf if score is None else score,
        best_step=state.values["best_step"],
        best_state=best or None,
    )


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Tensors) -> Tensors:
    start = f"{prefix}."
    return {name.removeprefix(start): each for name, each in tensors.items() if name.startswith(start)}
