"""Gradual quantization: in training, what products see moves from the latent numbers to the quantized ones.

    y = x + share * (Q(x) - x)

with a share that grows from 0 to 1 in the first steps (Hugging Face's 1.58-bit fine-tuning warms up so).
Gradients are the same mixture. A model that is evaluated is quantized whole, whatever the share.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from bitladder.quantizers.activation import ActivationQuantizer
from bitladder.quantizers.weight import WeightQuantizer


class _Quantizer(Protocol):
    share: float
    training: bool

    def __call__(self, x: Tensor, *more: Tensor) -> Tensor: ...


def partly(quantizer: _Quantizer, x: Tensor, *more: Tensor) -> Tensor:
    """x, quantized by its quantizer's share: wholly unless it is trained gradually."""
    rounded = quantizer(x, *more)
    if quantizer.share == 1 or not quantizer.training:
        return rounded
    return torch.lerp(x, rounded, quantizer.share)


def set_share(model: nn.Module, share: float) -> None:
    """From here on, quantize every weight and activation of a model in training by this share, 0 to 1."""
    for part in model.modules():
        if isinstance(part, ActivationQuantizer | WeightQuantizer):
            part.share = share
