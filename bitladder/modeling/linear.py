"""Linear layers on whole numbers: one autograd function each for the product and all that surrounds it.

    y = (codes @ weight_codes.T) * step * scale + bias          codes, weight_codes: int8

(where groups of inputs have scales of their own, a sum of such products). codes * step (+ offset) is what
the activation's quantizer makes of x, and weight_codes * scale the quantized weight. The product is exact,
so this is *the* arithmetic of a rung: training, evaluation and the packed model call the same `multiply`.
For the backward pass int8 codes are kept, not floats.

The gradient of the quantized weight goes to what `WeightQuantizer.receiver` gives, that of x and of the
activation quantizer's parameters is what `ActivationQuantizer.gradients` says. The plain layer's autograd
gives the same.

Shapes: M tokens, I input features, O output features; x is [..., I].
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bitladder.modeling.routines import Routines, input_gradient, integer_sums, product, weight_gradient
from bitladder.quantizers import loops
from bitladder.quantizers.activation import ActivationQuantizer, Codes
from bitladder.quantizers.weight import Quantized


def multiply(
    codes: Codes, weight: Quantized, bias_O: Tensor | None, *, largest: int, routines: Routines
) -> Tensor:
    """The layer's output [..., O], float32. largest: the largest magnitude of an activation's code."""
    integers_MI, num_groups = codes.integers.flatten(0, -2), weight.num_groups
    bounds: Any = {"largest": largest, "largest_weight": weight.largest}
    products = (
        integer_sums(x.contiguous(), codes_ON.contiguous(), **bounds, routines=routines)
        for x, codes_ON in zip(
            integers_MI.chunk(num_groups, dim=1), weight.codes_OI.chunk(num_groups, dim=1), strict=True
        )
    )
    if num_groups == 1:
        return _scaled(next(products), codes, weight, bias_O)
    y_MO = integers_MI.new_zeros((len(integers_MI), len(weight.codes_OI)), dtype=torch.float32)
    for group, product_MO in enumerate(products):  # in their order
        y_MO += product_MO.to(torch.float32).mul_(weight.scale_OG[:, group])
    return _scaled(y_MO, codes, weight, bias_O)


def _scaled(y_MO: Tensor, codes: Codes, weight: Quantized, bias_O: Tensor | None) -> Tensor:
    """The layer's output [..., O] from the sums of products, which it may overwrite.

    y_MO: exact sums; where there are groups, the sums over them of exact sums times scales.
    """
    scale_O = weight.scale_OG.squeeze(1) if weight.num_groups == 1 else None
    if scale_O is not None and bias_O is not None and _loop_serves(y_MO, codes, scale_O, bias_O):
        found = loops.scaled(y_MO, codes.step, scale_O, bias_O)
        return found.view(*codes.integers.shape[:-1], -1)
    y_MO = y_MO.to(torch.float32)
    if codes.step.dim():
        y_MO.mul_(codes.step.flatten().unsqueeze(1))
        y_MO = y_MO if scale_O is None else y_MO.mul_(scale_O)
    else:
        y_MO.mul_(codes.step if scale_O is None else codes.step * scale_O)
    if codes.offset is not None:
        y_MO.add_(weight.sums_O * codes.offset)
    if bias_O is not None:
        y_MO.add_(bias_O)
    return y_MO.view(*codes.integers.shape[:-1], -1)


def _loop_serves(y_MO: Tensor, codes: Codes, scale_O: Tensor, bias_O: Tensor) -> bool:
    is_simple = codes.step.dim() > 0 and codes.offset is None and len(scale_O) == len(bias_O)
    return is_simple and y_MO.dtype == torch.int32 and loops.serve(y_MO, codes.step, scale_O, bias_O)


def coded_linear(
    x: Tensor,
    weight: Quantized,
    bias_O: Tensor | None,
    *,
    quantizer: ActivationQuantizer,
    routines: Routines,
    latent_OI: Tensor,
) -> Tensor:
    """`multiply` of x as `quantizer`, which was shown it, rounds it; `latent_OI` gets the gradient."""
    found = _CodedLinear.apply(  # type: ignore[no-untyped-call]
        x, weight, quantizer, routines, latent_OI, bias_O, *quantizer.learned()
    )
    return cast("Tensor", found)


def float_linear(
    x: Tensor, values_OI: Tensor, bias_O: Tensor | None, *, routines: Routines, latent_OI: Tensor
) -> Tensor:
    """`x @ values_OI.T + bias`; the gradient of the weight goes to `latent_OI`."""
    found = _FloatLinear.apply(x, values_OI, routines, latent_OI, bias_O)  # type: ignore[no-untyped-call]
    return cast("Tensor", found)


class _CodedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Quantized,
        quantizer: ActivationQuantizer,
        routines: Routines,
        latent_OI: Tensor,
        bias_O: Tensor | None,
        *learned: Tensor,
    ) -> Tensor:
        codes = quantizer.encode(x)
        ctx.quantizer, ctx.routines, ctx.largest = quantizer, routines, weight.largest
        seen = x if quantizer.gradient_needs_x else None
        ctx.save_for_backward(
            codes.integers, codes.step, codes.offset, weight.codes_OI, weight.scale_OG, seen
        )
        return multiply(codes, weight, bias_O, largest=quantizer.largest, routines=routines)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        integers, step, offset, codes_OI, scale_OG, x = ctx.saved_tensors
        codes, weight = Codes(integers, step, offset), Quantized(codes_OI, scale_OG, ctx.largest)
        gradient_MO = gradients[0].reshape(-1, gradients[0].shape[-1])
        bias_O = gradient_MO.sum(dim=0) if ctx.needs_input_grad[5] else None
        dtype = ctx.routines.gradients
        gradient_MO = gradient_MO.to(dtype)  # once, for two products
        latent_OI = weight_gradient(gradient_MO, codes.values_in(dtype).flatten(0, -2), ctx.routines)
        values = input_gradient(gradient_MO, weight.values_in(dtype), ctx.routines).view_as(integers)
        of_x, *of_learned = ctx.quantizer.gradients(x, codes, values)
        return of_x, None, None, None, latent_OI, bias_O, *of_learned


class _FloatLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, values_OI: Tensor, routines: Routines, latent_OI: Tensor, bias_O: Tensor | None
    ) -> Tensor:
        ctx.routines = routines
        ctx.save_for_backward(x, values_OI)
        return product(x.flatten(0, -2), values_OI, bias_O, routines).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        x, values_OI = ctx.saved_tensors
        gradient_MO = gradients[0].reshape(-1, gradients[0].shape[-1])
        bias_O = gradient_MO.sum(dim=0) if ctx.needs_input_grad[4] else None
        gradient_MO = gradient_MO.to(ctx.routines.gradients)  # once, for two products
        latent_OI = weight_gradient(gradient_MO, x.flatten(0, -2), ctx.routines)
        of_x = input_gradient(gradient_MO, values_OI, ctx.routines).view_as(x)
        return of_x, None, None, latent_OI, bias_O
