"""The straight-through estimator, and a learned step that is one number wherever it is computed."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from drawn import ANY, matrices, step_of
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.rounding import positive_step, straight_through
from bitladder.runtime.model_structs import read_rounding

# Of half precision's range; its ends are rounded to float32 by either library.
LOG_STEPS = st.floats(math.ceil(math.log(2**-24)), math.floor(math.log(65504)), width=32)
# numpy's float32 exponential misses two in five by a bit, as both of these; torch's one in a hundred.
MISSED = (-2.998046875, -2.505859375)


class Stored:
    """What a packed file has of one quantizer."""

    def __init__(self, log_step: float, bits: int) -> None:
        self.log_step = np.array(log_step, np.float32)
        self.config = SimpleNamespace(precision=SimpleNamespace(activations=bits))

    def __contains__(self, name: str) -> bool:
        return name == "activation.log_step"

    def floats(self, _: str) -> Any:
        return self.log_step


@given(LOG_STEPS)
@example(MISSED[0])
@example(MISSED[1])
def test_a_step_is_the_nearest_float_to_the_exponential(log_step: float) -> None:
    assert positive_step(torch.tensor(log_step)) == step_of(log_step)


@given(LOG_STEPS)
@example(MISSED[0])
@example(MISSED[1])
def test_the_kernels_have_the_trained_step_to_the_last_bit(log_step: float) -> None:
    """Its last bit decides between two codes: where weights share a scale, of many inputs at once."""
    for bits in (1, 2, 4):
        found = read_rounding(Stored(log_step, bits), "activation")  # type: ignore[arg-type]
        assert found.step == float(positive_step(torch.tensor(log_step)))


@given(matrices(ANY))
def test_forward_is_the_values_and_backward_the_identity(latent_OI: Tensor) -> None:
    latent_OI.requires_grad_(True)
    values_OI = latent_OI.detach().round()
    gradient_OI = torch.linspace(-3, 3, latent_OI.numel()).view_as(latent_OI)
    output_OI = straight_through(latent_OI, values_OI)
    output_OI.backward(gradient_OI)
    assert torch.equal(output_OI, values_OI)
    assert torch.equal(latent_OI.grad, gradient_OI)
