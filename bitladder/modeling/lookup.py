"""Entries of a table, with their gradient by entry looked up and not for the whole table.

A batch looks up a few hundred of 30,522 words. Autograd's gradient of the table is zero elsewhere, and to
fill it with zeros, to take its norm, to scale it and to give it to Adam costs more than all that is done with
the few. Whoever trains a table may therefore ask for the gradient of the entries alone.

Shapes: E entries looked up, U different ones among them, I features.
"""

from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Reader(Protocol):
    """Who trains a table by entry."""

    def before(self, entries: Tensor) -> None:
        """These entries, of any shape, are about to be read: whatever was put off is done now."""

    def receive(self, entries_U: Tensor, gradient_UI: Tensor) -> None:
        """The gradient of the entries that were read, ascending; called in the backward pass."""


def look_up(entries: Tensor, table: Tensor, padding: int | None, reader: Reader | None) -> Tensor:
    """`functional.embedding`, whose gradient goes to the reader where there is one, and not to the table."""
    if reader is None:
        return functional.embedding(entries, table, padding)
    reader.before(entries)
    return cast("Tensor", _LookUp.apply(table, entries, padding, reader))  # type: ignore[no-untyped-call]


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, entries: Tensor, padding: int | None, reader: Reader) -> Tensor:
        ctx.save_for_backward(entries)
        ctx.padding, ctx.reader = padding, reader
        return functional.embedding(entries, table)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[None, ...]:
        """In the order, and so with the bits, of autograd's own: places one after the other."""
        entries_U, places = ctx.saved_tensors[0].unique(return_inverse=True)
        is_padding_U = entries_U == (-1 if ctx.padding is None else ctx.padding)
        padding = int(is_padding_U.int().argmax()) if bool(is_padding_U.any()) else -1
        gradient_UI = torch.ops.aten.embedding_dense_backward(
            gradients[0], places, len(entries_U), padding, False
        )
        ctx.reader.receive(entries_U, gradient_UI)
        return None, None, None, None
