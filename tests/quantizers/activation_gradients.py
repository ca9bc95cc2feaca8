"""Gradients of activation quantizers, by name, as autograd makes them."""

import torch
from torch import Tensor

from bitladder.quantizers.activation import ActivationQuantizer


def gradients(quantizer: ActivationQuantizer, x: Tensor, upstream: Tensor) -> dict[str, Tensor]:
    """Gradients of sum(quantizer(x) * upstream) for x and every parameter, by name."""
    x = x.clone().requires_grad_(True)
    quantizer(x).backward(upstream)
    found = {name: parameter.grad for name, parameter in quantizer.named_parameters()}
    return {name: grad for name, grad in {**found, "x": x.grad}.items() if grad is not None}


def upstream_of(x: Tensor) -> Tensor:
    """A gradient that is different everywhere and of both signs."""
    return torch.linspace(-1.5, 2, x.numel()).view_as(x)
