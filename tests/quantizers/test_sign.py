"""The plain sign: two levels, zero among the positive, BiBERT's gradient, and where it is refused."""

import pytest
import torch
from activation_gradients import gradients, upstream_of
from drawn import activations
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.sign import Sign, build


@given(activations(), st.booleans())
def test_two_levels_and_zero_counts_as_positive(x: Tensor, signed: bool) -> None:
    low = -1.0 if signed else 0.0
    assert torch.equal(Sign(signed=signed)(x), torch.where(x < 0, low, 1.0))


@given(activations(), st.booleans())
def test_the_gradient_passes_up_to_one_and_no_further(x: Tensor, signed: bool) -> None:
    found = gradients(Sign(signed=signed), x, upstream_of(x))
    assert torch.equal(found["x"], upstream_of(x) * (x.abs() <= 1))
    assert list(found) == ["x"]


def test_there_is_nothing_to_learn_or_to_save() -> None:
    assert not Sign(signed=True).state_dict()


def test_after_gelu_it_is_the_sign_too() -> None:
    assert build(1, signed=False, shift_shape=(3,)).signed


def test_of_what_is_never_negative_there_is_no_sign() -> None:
    with pytest.raises(ValueError, match="every sign is the same"):
        build(1, signed=False, shift_shape=None)
