"""Activation quantizers, one module per place where activations are quantized; a file for each kind.

    8 bits      per_token, min_max_ema, lsq
    4 and 2     lsq
    1 bit       elastic, sign

Each says the same thing three times. `forward` is the reference, in plain autograd. `encode` gives the whole
numbers that integer products multiply; `gradients` gives what autograd makes of `forward`, in fewer passes.

Steps are positive by construction: what is learned is their logarithm (`rounding.positive_step`). They
are set once, from data, by `initialization/step_sizes.py`, and are saved with the weights. An unset step is
NaN: none is used unnoticed.

Shapes: x is [..., C] and a shift per channel [C]; in attention products [B, heads, S, C] and [heads, 1, C].
"""

from dataclasses import dataclass
from importlib import import_module
from typing import cast

import torch
from torch import Tensor, nn

from bitladder.quantizers import loops
from bitladder.quantizers.names import ACTIVATIONS, usual


@dataclass(frozen=True)
class Codes:
    """Activations as whole numbers: `integers * step + offset`.

    Attributes:
        integers: int8, of the activations' shape.
        step: one per token [..., 1], or a single one [].
        offset: a single one [], or None for none.
    """

    integers: Tensor
    step: Tensor
    offset: Tensor | None = None

    def values(self) -> Tensor:
        """The activations as `forward` gives them, in the step's dtype."""
        values = self.integers.to(self.step.dtype).mul_(self.step)
        return values if self.offset is None else values.add_(self.offset)

    def values_in(self, dtype: torch.dtype) -> Tensor:
        """`values`, rounded to a dtype [..., C]."""
        is_per_token = self.offset is None and self.step.shape == (*self.integers.shape[:-1], 1)
        if dtype == torch.bfloat16 and is_per_token and loops.serve(self.integers, self.step):
            return loops.values_in_bfloat16(self.integers, self.step)
        return self.values().to(dtype)


class ActivationQuantizer(nn.Module):
    """Rounds its input to few levels; `calibrate` sets what it keeps from one batch of that input.

    Attributes:
        largest: the largest magnitude of a code.
        always_alike: whether two of this kind always make the same codes of the same input.
        gradient_needs_x: whether `gradients` looks at x; else it is not kept for the backward pass.
        share: how much of the way to the rounded activations products in training go (`gradual`).
    """

    largest: int
    always_alike = False
    gradient_needs_x = True
    share = 1.0

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Set steps and shifts from x. Quantizers that keep nothing have nothing to set."""

    def learned(self) -> tuple[Tensor, ...]:
        """The parameters, without the search through submodules that `parameters()` makes at each call."""
        return tuple(parameter for parameter in self._parameters.values() if parameter is not None)

    def observe(self, x: Tensor) -> None:
        """In training, move what is kept by measuring and not by learning; `forward` does it by itself."""

    def show(self, x: Tensor) -> None:
        """What precedes `encode` in a forward pass: x is observed, and hooks, as calibration's, see it."""
        if self._forward_pre_hooks or self._forward_hooks:
            self(x)
        else:
            self.observe(x)

    def encode(self, x: Tensor) -> Codes:
        """x as whole numbers; nothing is recorded for autograd."""
        raise NotImplementedError

    def gradients(self, x: Tensor, codes: Codes, gradient: Tensor) -> tuple[Tensor, ...]:
        """From the gradient of `forward(x)`, that of x and of each that is `learned`; codes: `encode(x)`."""
        raise NotImplementedError


def activation_quantizer(
    bits: int, *, signed: bool, shift_shape: tuple[int, ...] | None, name: str | None = None
) -> ActivationQuantizer:
    """The quantizer for one place.

    Args:
        bits: 8, 4, 2 or 1.
        signed: its values are centred on zero.
        shift_shape: shape of a shift per channel; None where zero is the lowest value by nature.
        name: which of those that serve the width (`bitladder.quantizers.names`); its usual one unless given.

    Raises:
        ValueError: it cannot serve this place.
    """
    name = name or usual(ACTIVATIONS, bits)
    build = import_module(f"bitladder.quantizers.{ACTIVATIONS[name].module}").build
    return cast("ActivationQuantizer", build(bits, signed=signed, shift_shape=shift_shape))
