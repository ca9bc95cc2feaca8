"""A loss or gradient that is no number never reaches the weights, and is told with its step when asked."""

import math

import pytest
import torch
from small_training import Ended, open_for, train
from torch import Tensor, nn

from pipeline.training import loop
from pipeline.training.optimizer import DivergedError, Divergence, adamw


class Late(Divergence):
    """As on a GPU: not asked right after each step, which on the CPU is the first time that it is asked."""

    was_asked = True

    def see(self, step: int, terms: dict[str, Tensor], norm: Tensor) -> None:
        self.was_asked = False
        super().see(step, terms, norm)

    def check(self) -> None:
        if self.was_asked:
            super().check()
        self.was_asked = True


def steps(losses: list[float], model: nn.Linear | None = None) -> tuple[Divergence, list[Tensor]]:
    """Steps with these losses and ordinary gradients; the weight after each."""
    model = model or nn.Linear(1, 1, bias=False)
    device = model.weight.device
    optimizer = adamw(model, learning_rate=0.1, weight_decay=0.0)
    divergence, after = Divergence("w1", optimizer), []
    for step, loss in enumerate(losses, start=1):
        model.weight.grad = torch.ones_like(model.weight)
        term = torch.full((), loss, device=device)
        divergence.see(step, {"logits": term, "labels": torch.zeros_like(term)}, torch.ones_like(term))
        optimizer.step()
        after.append(model.weight.detach().clone())
    return divergence, after


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_from_the_first_bad_step_on_the_weights_stay(bad: float) -> None:
    divergence, after = steps([1.0, 2.0, bad, 4.0, bad])
    assert not torch.equal(after[0], after[1])
    assert all(torch.equal(weight, after[1]) for weight in after[2:])
    with pytest.raises(
        DivergedError, match=rf"^w1: diverged at step 3: loss {bad}, .*'logits': {bad}"
    ) as caught:
        divergence.check()
    assert caught.value.exit_code == 5


def test_where_every_step_is_good_nothing_is_said() -> None:
    divergence, after = steps([1.0, 2.0, 3.0])
    divergence.check()
    assert len({float(weight) for weight in after}) == 3


def test_watching_changes_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to skip nothing, AdamW takes the same steps, bit for bit."""
    watched: Ended = train()
    monkeypatch.setattr(Divergence, "see", lambda self, step, terms, norm: None)
    assert train() == watched


def test_the_last_good_state_stays_and_no_bad_one_is_written(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr(loop, "Divergence", Late)
    real = nn.utils.clip_grad_norm_
    taken: list[int] = []

    def norm(*arguments: object, **named: object) -> Tensor:
        taken.append(0)
        found = real(*arguments, **named)  # type: ignore[arg-type]
        return found * math.nan if len(taken) == 4 else found

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", norm)
    # No point of the curve is due at step 4 of 50: the state is.
    with pytest.raises(DivergedError, match=r"diverged at step 4: .* norm of its gradient nan"):
        train(open_for(every=2), num_steps=50, num_evaluations=1)
    found = open_for(every=2).newest()
    assert found is not None
    assert found.values["step"] == 2
    assert all(tensor.isfinite().all() for tensor in found.tensors.values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_no_step_waits_for_it() -> None:
    model = nn.Linear(1, 1, bias=False).to("cuda")
    steps([1.0], model)  # the first use of anything may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        divergence, after = steps([1.0] * 3, model)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    divergence.check()
    assert len(after) == 3
