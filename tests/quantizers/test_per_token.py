"""Eight bits, one scale per token: levels, gradients, the ends of float32."""

import pytest
import torch
from activation_gradients import gradients, upstream_of
from drawn import activations
from hypothesis import given
from torch import Tensor

from bitladder.quantizers.per_token import PerToken


@given(activations())
def test_each_token_has_255_levels_scaled_by_its_own_largest_magnitude(x: Tensor) -> None:
    values = PerToken(8)(x)
    step = x.abs().amax(dim=-1, keepdim=True) / 127
    assert ((values - x).abs() <= step / 2 * (1 + 1e-5)).all()
    codes = values / step.clamp(min=1e-30)
    assert torch.allclose(codes, codes.round(), atol=1e-4)  # float32 has 24 bits, the quotient keeps 17
    assert torch.allclose(values.abs().amax(dim=-1), x.abs().amax(dim=-1), rtol=1e-6)


@given(activations())
def test_a_token_does_not_depend_on_the_others(x: Tensor) -> None:
    tokens = [PerToken(8)(token) for token in x.flatten(0, 1)]
    assert torch.equal(PerToken(8)(x), torch.stack(tokens).view_as(x))


@given(activations())
def test_eight_bits_pass_the_gradient_unchanged_and_learn_nothing(x: Tensor) -> None:
    assert not list(PerToken(8).parameters())
    assert torch.equal(gradients(PerToken(8), x, upstream_of(x))["x"], upstream_of(x))


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-38, 3e38])
def test_eight_bits_are_finite_at_the_ends_of_float32(value: float) -> None:
    assert PerToken(8)(torch.full((2, 3), value)).isfinite().all()
