"""AdamW on a table of which each batch looks up a few entries: the others are left alone until they are.

To AdamW a step without a gradient is a step all the same: weights decay, and so do both moments, by which the
weights go on moving for a while. An entry that no batch looks up misses its steps here. They are taken, one
after the other and by the same routine, when it is looked up again, and for all entries before anybody reads
the whole table: a state, a checkpoint, an evaluation. Each number goes through the same operations in the
same order as without this file, so that it has the same bits; what is saved is the reading and writing of
four tables in every step.

Without a gradient the mean of gradients falls by a tenth in every step, so that after some 750 of them it is
below 1.2e-38, where a processor computes fifteen times slower. In AdamW such numbers count as zero
(`tiny_is_zero`), whether steps are put off or not.

Shapes: O entries of the table, U of them, ascending or by their last step; I features.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bitladder.modeling.layers import QuantizedEmbedding

WORTH_IT = 2**20  # weights of a table; a smaller one is in the cache anyway
# Widths whose sum of squares has the same bits without its zeros: whole vectors, however long they are.
WHOLE_VECTORS = 16
ENTRIES_AT_ONCE = 128  # whose weights and moments fit in a second-level cache
IDLE_AT_ONCE = 512


@contextmanager
def tiny_is_zero() -> Iterator[None]:
    """Count as zero what is below float32's normal range. With one thread alone: others are not told."""
    is_told = torch.get_num_threads() == 1 and torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if is_told:
            torch.set_flush_denormal(False)


def by_entry(model: nn.Module) -> list[QuantizedEmbedding]:
    """The tables of a model that are worth it and of which nobody sees more than the entries looked up."""
    owners = [id(each) for part in model.modules() for each in part.parameters(recurse=False)]
    return [
        part
        for part in model.modules()
        if isinstance(part, QuantizedEmbedding)
        and part.weight.requires_grad
        and part.weight.device.type == "cpu"
        and part.weight.numel() >= WORTH_IT
        and part.embedding_dim % WHOLE_VECTORS == 0
        and part.quantizer.layout.granularity != "matrix"  # its scale is of all entries
        and not part.quantizer.observes  # it wants to see all moments after each step
        and owners.count(id(part.weight)) == 1
    ]


class Table:
    """One table and its part of an optimizer. It is the table's reader from here on.

    Args:
        group: what the optimizer says of the table: rate, decay, betas, eps.
        state: the table's moments and step counter, where the optimizer keeps them; empty before the first.

    Attributes:
        steps: how many steps the optimizer has taken, with the table's entries or without.
        gradient_UI: of the entries that the last forward pass looked up; None before its backward pass.
    """

    def __init__(self, layer: QuantizedEmbedding, group: dict[str, Any], state: dict[str, Tensor]) -> None:
        self.layer, self.group, self.state = layer, group, state
        self.weight_OI = layer.weight.detach()
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(self.weight_OI)
            state["exp_avg_sq"] = torch.zeros_like(self.weight_OI)
        self.steps = int(state["step"])
        self._last_O = torch.full((len(self.weight_OI),), self.steps)
        self._is_idle_O = (self._moments[0] == 0).all(dim=1) & (self._moments[1] == 0).all(dim=1)
        self._first, self._rates = self.steps, list[float]()  # of the steps after the first
        self.entries_U, self.gradient_UI = self._last_O[:0], None
        layer.reader = self

    entries_U: Tensor
    gradient_UI: Tensor | None

    def before(self, entries: Tensor) -> None:
        entries_U: Tensor = entries.unique()  # type: ignore[no-untyped-call]
        behind_U = entries_U[self._last_O[entries_U] < self.steps]
        if len(behind_U):
            self._take_missed(behind_U)

    def receive(self, entries_U: Tensor, gradient_UI: Tensor) -> None:
        self.entries_U, self.gradient_UI = entries_U, gradient_UI

    @torch.no_grad()
    def step(self) -> None:
        """The optimizer's step, of the entries that have a gradient."""
        self.steps += 1
        self._rates.append(float(self.group["lr"]))
        self.state["step"].fill_(self.steps)
        if self.gradient_UI is None:
            return
        own = [each[self.entries_U] for each in (self.weight_OI, *self._moments)]
        self._adamw(own, self.gradient_UI, self.steps)
        self._put(self.entries_U, own)
        self._is_idle_O[self.entries_U] = False
        self.gradient_UI = None

    @torch.no_grad()
    def catch_up(self) -> None:
        """Take all missed steps: afterwards table and state are those of an ordinary AdamW."""
        behind_O = self._last_O < self.steps
        for is_idle, at_once in ((True, IDLE_AT_ONCE), (False, ENTRIES_AT_ONCE)):
            entries = (behind_O & (self._is_idle_O == is_idle)).nonzero().flatten()
            by_last = entries[self._last_O[entries].argsort(stable=True)]
            for start in range(0, len(by_last), at_once):
                self._take_missed(by_last[start : start + at_once])
        self._first, self._rates = self.steps, []

    def entries(self) -> Tensor:
        """The entries that have a gradient, with it; their values are not those of the table."""
        found = torch.empty_like(self.weight_OI[:0] if self.gradient_UI is None else self.gradient_UI)
        found.grad = self.gradient_UI
        return found

    @property
    def _moments(self) -> tuple[Tensor, Tensor]:
        return self.state["exp_avg"], self.state["exp_avg_sq"]

    @torch.no_grad()
    def _take_missed(self, entries_U: Tensor) -> None:
        is_idle_U = self._is_idle_O[entries_U]
        with tiny_is_zero():
            self._decay(entries_U[is_idle_U])
            self._replay(entries_U[~is_idle_U])

    def _decay(self, entries_U: Tensor) -> None:
        """Without moments a step only decays."""
        if len(entries_U) == 0:
            return
        last_U, entries_U = self._by_last(entries_U)
        weight_UI = self.weight_OI[entries_U]
        for step, number in self._missed(last_U):
            weight_UI[:number].mul_(1 - self._rate(step) * self.group["weight_decay"])
        self._put(entries_U, [weight_UI])

    def _replay(self, entries_U: Tensor) -> None:
        if len(entries_U) == 0:
            return
        last_U, entries_U = self._by_last(entries_U)
        own = [each[entries_U] for each in (self.weight_OI, *self._moments)]
        nothing_UI = torch.zeros_like(own[0])
        for step, number in self._missed(last_U):
            self._adamw([each[:number] for each in own], nothing_UI[:number], step)
        self._put(entries_U, own)

    def _by_last(self, entries_U: Tensor) -> tuple[Tensor, Tensor]:
        last_U, order_U = self._last_O[entries_U].sort(stable=True)
        return last_U, entries_U[order_U]

    def _missed(self, last_U: Tensor) -> Iterator[tuple[int, int]]:
        """Each step that some entry missed, and how many, from the front, missed it."""
        steps = torch.arange(int(last_U[0]) + 1, self.steps + 1)
        return zip(steps.tolist(), torch.searchsorted(last_U, steps).tolist(), strict=True)

    def _rate(self, step: int) -> float:
        return self._rates[step - self._first - 1]

    def _put(self, entries_U: Tensor, own: Iterable[Tensor]) -> None:
        for whole, part in zip((self.weight_OI, *self._moments), own, strict=False):
            whole.index_copy_(0, entries_U, part)
        self._last_O[entries_U] = self.steps

    def _adamw(self, own: list[Tensor], gradient_UI: Tensor, step: int) -> None:
        """torch's routine, as torch.optim.AdamW calls it; weights and moments in place."""
        weight_UI, mean_UI, square_UI = own
        beta1, beta2 = self.group["betas"]
        torch._fused_adamw_(
            [weight_UI],
            [gradient_UI],
            [mean_UI],
            [square_UI],
            [],
            [torch.tensor(float(step))],
            lr=self._rate(step),
            beta1=beta1,
            beta2=beta2,
            weight_decay=self.group["weight_decay"],
            eps=self.group["eps"],
            amsgrad=False,
            maximize=False,
        )
