"""The gradient of looked-up entries alone is autograd's of the whole table, without its zeros."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from bitladder.modeling.lookup import look_up


class Seen:
    """Notes what a table's reader is told."""

    def __init__(self) -> None:
        self.before_reading: Tensor | None = None
        self.entries: Tensor | None = None
        self.gradient: Tensor | None = None

    def before(self, entries: Tensor) -> None:
        self.before_reading = entries

    def receive(self, entries_U: Tensor, gradient_UI: Tensor) -> None:
        self.entries, self.gradient = entries_U, gradient_UI


@given(
    st.lists(st.integers(0, 11), min_size=1, max_size=40), st.sampled_from([None, 0, 5]), st.integers(0, 99)
)
def test_it_has_the_same_bits(ids: list[int], padding: int | None, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(12, 7, generator=generator, requires_grad=True)
    entries, weighting = torch.tensor([ids]), torch.randn(1, len(ids), 7, generator=generator)
    (functional.embedding(entries, table, padding) * weighting).sum().backward()
    expected, table.grad = table.grad, None

    seen = Seen()
    found = look_up(entries, table, padding, seen)
    assert torch.equal(found, functional.embedding(entries, table, padding))
    (found * weighting).sum().backward()
    assert table.grad is None
    assert seen.before_reading is entries
    assert seen.entries.tolist() == sorted(set(ids))
    whole = torch.zeros(12, 7).index_copy_(0, seen.entries, seen.gradient)
    assert torch.equal(whole, expected)
