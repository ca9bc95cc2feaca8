"""Queries, keys and values of every layer of a forward pass, for a loss that compares them.

    with collected() as layers:
        model(...)                  # layers: (query, key, value) of each layer, in order

They are what the linears put out, before an activation quantizer rounds them. Where nobody asks for them,
showing them costs a look at a variable.

Shapes: [B, H, S, D], B sequences, H heads, S tokens, D features of a head.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

Heads = tuple[Tensor, Tensor, Tensor]
_layers: ContextVar[list[Heads] | None] = ContextVar("layers", default=None)


@contextmanager
def collected() -> Iterator[list[Heads]]:
    """The queries, keys and values of every layer that runs inside."""
    found: list[Heads] = []
    before = _layers.set(found)
    try:
        yield found
    finally:
        _layers.reset(before)


def show_heads(heads: Iterable[Tensor]) -> None:
    """Keep one layer's query, key and value for whoever collects."""
    layers = _layers.get()
    if layers is not None:
        query, key, value = heads
        layers.append((query, key, value))
