"""Compiled loops have the bits of what torch computes in several passes: nobody can tell them apart."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers import loops
from bitladder.quantizers.activation import Codes
from bitladder.quantizers.per_token import PerToken
from bitladder.quantizers.weight import Quantized, signs

pytest.importorskip("numba")
SIDES, SEEDS = st.integers(1, 70), st.integers(0, 10**6)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    loops.stop()
    torch.set_num_threads(before)


def drawn(rows: int, columns: int, seed: int) -> Tensor:
    """Numbers of all sizes; some are zero, of either sign, and some lie between two levels of 127."""
    generator = torch.Generator().manual_seed(seed)
    size = 10.0 ** torch.randint(-40, 4, (rows, 1), generator=generator).double()
    x = (torch.randn(rows, columns, generator=generator) * size).float()
    kind = torch.randint(0, 8, x.shape, generator=generator)
    halves = (
        (torch.randint(-254, 255, x.shape, generator=generator) / 2) * x.abs().amax(1, keepdim=True) / 127
    )
    return torch.where(kind == 0, 0.0, torch.where(kind == 1, -0.0, torch.where(kind == 2, halves, x)))


def both(make: object) -> tuple[object, object]:
    """What torch gives, and what the loops give."""
    loops.stop()
    by_torch = make()  # type: ignore[operator]
    assert loops.start()
    return by_torch, make()  # type: ignore[operator]


@given(SIDES, SIDES, SEEDS)
def test_signs(rows: int, columns: int, seed: int) -> None:
    x = drawn(rows, columns, seed)
    by_torch, by_loops = both(lambda: signs(x))
    assert torch.equal(by_torch, by_loops)


@pytest.mark.parametrize("bits", [2, 4, 8])
@given(SIDES, SIDES, SEEDS)
def test_codes_and_steps_of_tokens(bits: int, rows: int, columns: int, seed: int) -> None:
    x = drawn(rows, columns, seed).view(1, rows, columns)
    by_torch, by_loops = both(lambda: PerToken(bits).encode(x))
    assert torch.equal(by_torch.integers, by_loops.integers)
    assert torch.equal(by_torch.step, by_loops.step)


@given(SIDES, SIDES, SEEDS)
def test_values_of_codes_in_half_the_bytes(rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(-127, 128, (rows, columns), generator=generator, dtype=torch.int8)
    step = drawn(rows, 1, seed).abs()
    for made in (Codes(codes, step), Quantized(codes, step, 127)):
        by_torch, by_loops = both(lambda made=made: made.values_in(torch.bfloat16))
        assert torch.equal(by_torch, by_loops)


@given(SIDES, SIDES, SEEDS)
def test_what_follows_a_product(rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sums = torch.randint(-(2**27), 2**27, (rows, columns), generator=generator, dtype=torch.int32)
    step, scale, bias = (
        drawn(rows, 1, seed).abs(),
        drawn(columns, 1, seed).abs()[:, 0],
        drawn(columns, 1, seed),
    )
    assert loops.start()
    expected = sums.float().mul_(step).mul_(scale).add_(bias[:, 0])
    assert torch.equal(loops.scaled(sums, step, scale, bias[:, 0]), expected)


def test_what_is_no_number_stays_none() -> None:
    """Else a training that diverged would not be seen to."""
    assert loops.start()
    found = PerToken(8).encode(torch.tensor([[1.0, float("nan")], [1.0, 2.0]]))
    assert found.step.isnan().flatten().tolist() == [True, False]


def test_they_serve_one_thread_only_and_what_lies_in_rows() -> None:
    x = torch.ones(4, 6)
    loops.stop()
    assert not loops.serve(x)
    assert loops.start()
    assert loops.serve(x, None)
    assert not loops.serve(x.t())
    assert not loops.serve(x.double())
    torch.set_num_threads(2)
    assert not loops.serve(x)
    torch.set_num_threads(1)
