"""What a frozen teacher says of rows that come again: kept, and not computed anew in every epoch.

Which rows are kept, and from which batch their answers are, does not depend on where a training was stopped:
a row's answers are those of the batch in which the first epoch has it, and kept are the first batches of that
epoch, as many as fit. Whoever goes on from a state asks the teacher about the same batches again as their
rows come up. In the first epoch nothing changes. Afterwards the answers have the same bits where the
teacher's products do not depend on the batch around a row; where they do, as some routines' do on the number
of rows, they differ by rounding.

Padding is zero in what was kept; no term of a loss reads it.

Shapes: B sequences of a batch, S tokens of its longest, T of one row; N layers, H heads, D features of a
head, E hidden size, L labels. Answers are stacked, [F, B, ...]: F is layers, or 1, or labels of each token.
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod

import torch
from torch import Tensor, nn

from bitladder.modeling.traces import PADDING, Trace, trace
from pipeline.tasks.batches import ROWS, Batch, Shuffled

BUDGET = 2 * 2**30  # bytes; MiniLM's answers take 1.2e9 for CoLA's train split, 4.6e9 for MRPC's
Parts = dict[str, Tensor]


@dataclass(frozen=True)
class Kind:
    """What is kept of one kind of answers.

    Attributes:
        sizes: of one row's, [F, ...]; None: as many as the row has tokens.
        padding: what stands where the row has no token.
    """

    sizes: tuple[int | None, ...]
    dtype: torch.dtype
    padding: float = 0.0

    def shape(self, length: int) -> tuple[int, ...]:
        return tuple(length if size is None else size for size in self.sizes)

    def num_bytes(self, length: int) -> int:
        return prod(self.shape(length)) * self.dtype.itemsize


class KeptAnswers:
    """Asks a teacher about batches, and about few rows twice.

    Args:
        batches: those of the training.
        states: keep hidden states and scores too; else logits alone, and no others are given.
        heads: keep queries, keys and values too.
        budget: bytes that may be kept.

    Attributes:
        num_asked, num_recalled: rows that the teacher was asked about, and rows that were known.
    """

    def __init__(
        self, teacher: nn.Module, batches: Shuffled, *, states: bool, heads: bool, budget: int = BUDGET
    ) -> None:
        self.teacher, self.batches, self.states, self.heads = teacher, batches, states, heads
        self.num_asked = self.num_recalled = 0
        self._home = {row: number for number, rows in enumerate(batches.first_epoch) for row in rows}
        with torch.no_grad():
            example = self._stacked(trace(teacher, batches.rows.batch([0]), heads=heads))
        self._kinds = {name: _kind(name, stacked) for name, stacked in example.items()}
        self._slots = self._laid_out(budget)
        self._heard: set[int] = set()  # batches of the first epoch whose rows are in their slots

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Trace:
        """As `trace` of the teacher on the batch."""
        rows: list[int] = batch[ROWS].tolist()
        home = self._home[rows[0]]
        if home not in self._heard and rows == self.batches.first_epoch[home]:
            return self._hear(home, batch)
        kept = [row for row in rows if row in self._slots]
        if not kept:
            return self._ask(batch)
        for number in sorted({self._home[row] for row in kept} - self._heard):
            self._hear(number, self.batches.rows.batch(self.batches.first_epoch[number]))
        self.num_recalled += len(kept)
        answers = {row: self._slots[row] for row in kept} | self._others(batch, rows)
        return self._together([answers[row] for row in rows], length=batch["input_ids"].shape[1])

    def _hear(self, number: int, batch: Batch) -> Trace:
        """Ask about a batch of the first epoch, and keep what has a slot."""
        answers = self._ask(batch)
        rows = self.batches.first_epoch[number]
        if rows[0] in self._slots:
            for row, own in zip(rows, self._by_row(answers, rows), strict=True):
                for name, part in own.items():
                    self._slots[row][name].copy_(part)
            self._heard.add(number)
        return answers

    def _ask(self, batch: Batch) -> Trace:
        self.num_asked += len(batch["input_ids"])
        return trace(self.teacher, batch, heads=self.heads)

    def _others(self, batch: Batch, rows: list[int]) -> dict[int, Parts]:
        """The answers about those rows of a batch that have no slot."""
        places = [place for place, row in enumerate(rows) if row not in self._slots]
        if not places:
            return {}
        others = [rows[place] for place in places]
        answers = self._ask({name: each[places] for name, each in batch.items()})
        return dict(zip(others, self._by_row(answers, others), strict=True))

    def _by_row(self, answers: Trace, rows: list[int]) -> list[Parts]:
        """Each row's own answers, without padding."""
        stacked = self._stacked(answers)
        lengths = [len(self.batches.rows.input_ids[row]) for row in rows]
        return [
            {
                name: whole[:, place][_corner(self._kinds[name].shape(lengths[place]))]
                for name, whole in stacked.items()
            }
            for place in range(len(rows))
        ]

    def _stacked(self, answers: Trace) -> Parts:
        """Answers by kind, [F, B, ...]."""
        logits = answers.logits_BL
        found = {"logits": logits.unsqueeze(0) if logits.dim() == 2 else logits.transpose(0, 1)}
        if self.states:
            found |= {"states": torch.stack(answers.hidden_states), "scores": torch.stack(answers.scores)}
        if self.heads:
            found["heads"] = torch.stack([each for layer in answers.heads for each in layer])
        return found

    def _together(self, answers: list[Parts], *, length: int) -> Trace:
        """The answers of a batch's rows, padded to a length."""
        stacked = {}
        for name, kind in self._kinds.items():
            num_parts, *sizes = kind.shape(length)
            whole = torch.full((num_parts, len(answers), *sizes), kind.padding, dtype=kind.dtype)
            for place, own in enumerate(answers):
                whole[:, place][_corner(own[name].shape)] = own[name]
            stacked[name] = whole
        logits = stacked["logits"].transpose(0, 1) if len(stacked["logits"]) > 1 else stacked["logits"][0]
        parts = {name: whole.unbind() for name, whole in stacked.items()}
        heads = parts.get("heads", ())
        return Trace(
            logits,
            parts.get("states", ()),
            parts.get("scores", ()),
            tuple(zip(heads[::3], heads[1::3], heads[2::3], strict=True)),
        )

    def _laid_out(self, budget: int) -> dict[int, Parts]:
        """Places for the answers about the rows of the first batches, as many as the budget has room for."""
        rows: list[int] = []
        lengths = [len(row) for row in self.batches.rows.input_ids]
        for batch in self.batches.first_epoch:
            budget -= sum(kind.num_bytes(lengths[row]) for row in batch for kind in self._kinds.values())
            if budget < 0:
                break
            rows += batch
        slots: dict[int, Parts] = {row: {} for row in rows}
        for name, kind in self._kinds.items():
            shapes = [kind.shape(lengths[row]) for row in rows]
            ends = list(accumulate(map(prod, shapes), initial=0))
            memory = torch.empty(ends[-1], dtype=kind.dtype)  # not touched, and so not taken, before its time
            for row, shape, (start, end) in zip(rows, shapes, pairwise(ends), strict=True):
                slots[row][name] = memory[start:end].view(shape)
        return slots


def _kind(name: str, stacked: Tensor) -> Kind:
    """What is kept of answers like these, about one row."""
    num_parts, _, *sizes = stacked.shape
    if name == "logits" and num_parts > 1:  # of a head that reads every token
        return Kind((num_parts, None), stacked.dtype, PADDING)
    tokens_at = {"logits": (), "states": (0,), "scores": (1, 2), "heads": (1,)}[name]
    own = tuple(None if at in tokens_at else size for at, size in enumerate(sizes))
    return Kind((num_parts, *own), stacked.dtype)


def _corner(shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(size) for size in shape)
