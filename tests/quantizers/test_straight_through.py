"""The straight-through estimator: forward the plain operator, backward the identity."""

import torch
from drawn import ANY, matrices
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bitladder.quantizers.choose import build, quantize_weight
from bitladder.quantizers.names import WEIGHTS, usual
from bitladder.quantizers.straight_through import straight_through
from bitladder.quantizers.weight import Layout


@given(matrices(ANY))
def test_forward_is_the_values_and_backward_the_identity(latent_OI: Tensor) -> None:
    latent_OI.requires_grad_(True)
    values_OI = latent_OI.detach().round()
    gradient_OI = torch.linspace(-3, 3, latent_OI.numel()).view_as(latent_OI)
    output_OI = straight_through(latent_OI, values_OI)
    output_OI.backward(gradient_OI)
    assert torch.equal(output_OI, values_OI)
    assert torch.equal(latent_OI.grad, gradient_OI)


@given(matrices(), st.sampled_from([1, 2, 4, 8]))
def test_a_latent_weight_gets_the_gradient_of_the_quantized_one(latent_OI: Tensor, bits: int) -> None:
    latent_OI.requires_grad_(True)
    gradient_OI = torch.linspace(-3, 3, latent_OI.numel()).view_as(latent_OI)
    output_OI = build(usual(WEIGHTS, bits), Layout(bits, *latent_OI.shape))(latent_OI)
    output_OI.backward(gradient_OI)
    assert torch.equal(output_OI, quantize_weight(latent_OI.detach(), bits, "row").values_OI)
    assert torch.equal(latent_OI.grad, gradient_OI)
