"""Text to token ids, once per split, and batches of them.

Shapes: B sequences of a batch, S tokens of its longest (padding to the split's longest would waste most).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bitladder.text.tokens import Tokens

Batch = dict[str, Tensor]
ROWS = "rows"  # in a training's batches: the numbers of the rows in their split, [B]


def inputs_of(batch: Batch) -> Batch:
    """What a model reads of a batch."""
    return {name: tensor for name, tensor in batch.items() if name not in ("labels", ROWS)}


@dataclass(frozen=True)
class Encoded:
    """A tokenized split: ids and segment ids per row (not padded), labels, how many rows were cut, the
    padding's id.

    Labels are [N], [N, L], or [N, 2] of windows of questions; with `by_token` [N, S], and a batch has those
    of its own tokens.
    """

    input_ids: list[list[int]]
    token_type_ids: list[list[int]]
    labels: Tensor
    num_truncated: int
    padding: int = 0
    by_token: bool = False

    def __len__(self) -> int:
        return len(self.input_ids)

    def pick(self, rows: list[int]) -> "Encoded":
        """Some of the rows, in this order."""
        ids, segments = ([own[row] for row in rows] for own in (self.input_ids, self.token_type_ids))
        return Encoded(ids, segments, self.labels[rows], self.num_truncated, self.padding, self.by_token)

    def batch(self, rows: list[int]) -> Batch:
        """The rows as tensors [B, S], padded to the longest of them."""
        own = Tokens(self.input_ids, self.token_type_ids, self.num_truncated, self.padding).batch(rows)
        tensors = {name: torch.from_numpy(values) for name, values in own.items()}
        labels = self.labels[rows]
        return tensors | {"labels": labels[:, : tensors["input_ids"].shape[1]] if self.by_token else labels}

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """All rows once, in order."""
        for start in range(0, len(self), batch_size):
            yield self.batch(list(range(start, min(start + batch_size, len(self)))))

    def shuffled(self, batch_size: int, *, seed: int, bucket_batches: int = 1) -> "Shuffled":
        return Shuffled(self, batch_size, seed, bucket_batches)


class Shuffled:
    """The batch of any step: each epoch is a new permutation, drawn from the seed and the epoch's number.

    Nothing is drawn from where the last call left off, so a resumed training sees the batches it would have.

    With `bucket_batches` above 1, the permutation is cut into windows of so many batches, each window is
    sorted by length, and the epoch's batches are shuffled: rows of like length meet, with less padding.
    """

    def __init__(self, rows: Encoded, batch_size: int, seed: int, bucket_batches: int = 1) -> None:
        self.rows, self.batch_size, self.seed, self.bucket_batches = rows, batch_size, seed, bucket_batches
        self.per_epoch = -(-len(rows) // batch_size)
        self._epoch, self._batches = -1, list[list[int]]()

    def __call__(self, step: int) -> Batch:
        """The batch of a step; steps count from 1."""
        epoch, index = divmod(step - 1, self.per_epoch)
        if epoch != self._epoch:  # drawing it anew for each batch would cost more than the batch
            self._epoch, self._batches = epoch, self._draw(epoch)
        rows = self._batches[index]
        return self.rows.batch(rows) | {ROWS: torch.tensor(rows)}

    @cached_property
    def first_epoch(self) -> list[list[int]]:
        """The rows of each of its batches."""
        return self._draw(0)

    def _draw(self, epoch: int) -> list[list[int]]:
        generator = np.random.default_rng([self.seed, epoch])
        order: list[int] = generator.permutation(len(self.rows)).tolist()
        if self.bucket_batches == 1:
            return _cut(order, self.batch_size)
        windows = _cut(order, self.batch_size * self.bucket_batches)
        by_length = [sorted(window, key=lambda row: len(self.rows.input_ids[row])) for window in windows]
        batches = [batch for window in by_length for batch in _cut(window, self.batch_size)]
        return [batches[number] for number in generator.permutation(len(batches))]


def _cut(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
