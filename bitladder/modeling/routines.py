"""How products are computed: which of torch's routines serves which device and CPU, and how precisely.

A quantized product multiplies whole numbers, so it has one right result. Every routine here gives exactly
that: int8 instructions where there are some, floating point wide enough for the sum elsewhere. A rung
therefore computes the same on every machine, in training, in evaluation and packed.

Products of floating point numbers (gradients, the teacher, weights against activations of 32 bits) go through
oneDNN on CPUs, but on Intel's through torch's own choice, MKL: that has half of oneDNN's speed on AMD's, and
1.1 to 2 times on Intel's. Timing both at the start would find the same; but what was close would be chosen
one way today and the other way tomorrow, and a training that was stopped and one that was not would differ.

Shapes: M tokens, I input features, O output features.
"""

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

Gradients = Literal["float32", "bfloat16"]
ENVIRONMENT = "BITLADDER_KERNELS"
NAMES = ("fused", "plain")
LARGEST_IN_PAIRS = 64  # 2 * 255 * 64 < 2^15
WORTH_ONEDNN = 2**22  # multiplications; in smaller products preparing oneDNN's call costs what it brings
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class RoutinesError(ValueError):
    """The environment asks for routines that do not exist."""

    exit_code = 2


@dataclass(frozen=True)
class Routines:
    """How one model's layers compute.

    Attributes:
        fused: one function per layer, on whole numbers; else plain autograd on rounded floats, the reference.
        vnni: the CPU multiplies whole numbers of 8 bits exactly; else small ones, or in floating point
            (`takes_int8`). GPUs always use their instructions for it.
        onednn: multiply floats through oneDNN; else through torch's own choice.
        gradients: dtype of the factors in the backward pass, and in a frozen teacher's forward pass.
    """

    fused: bool
    vnni: bool
    onednn: bool
    gradients: torch.dtype


PLAIN = Routines(fused=False, vnni=False, onednn=False, gradients=torch.float32)


def choose(gradients: Gradients = "float32", *, name: str | None = None) -> Routines:
    """The fastest routines of this machine, or the plain ones where `name` or the environment say so.

    Raises:
        RoutinesError: the name is not one of NAMES.
    """
    name = name or os.environ.get(ENVIRONMENT, "fused")
    if name not in NAMES:
        raise RoutinesError(f"{ENVIRONMENT}: {name!r}; known: {', '.join(NAMES)}")
    if name == "plain":
        return PLAIN
    vnni = torch.cpu._is_vnni_supported()
    onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return Routines(
        fused=True, vnni=vnni, onednn=onednn and not mkl_is_faster(), gradients=_DTYPES[gradients]
    )


@cache
def mkl_is_faster() -> bool:
    """Whether there is MKL, and a processor of its maker."""
    try:
        processor = Path("/proc/cpuinfo").read_text()
    except OSError:
        processor = platform.processor()
    has_mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    return has_mkl and "GenuineIntel" in processor


def use(model: nn.Module, routines: Routines) -> None:
    """Set how every layer of a model that has a choice computes."""
    for part in model.modules():
        if isinstance(getattr(part, "routines", None), Routines):
            part.routines = routines  # type: ignore[assignment]


def integer_product(
    codes_MI: Tensor, codes_OI: Tensor, *, largest: int, largest_weight: int, routines: Routines
) -> Tensor:
    """`codes_MI @ codes_OI.T` of int8 as float32 [M, O]: exact sums, rounded once if beyond 2^24.

    Args:
        largest, largest_weight: what the magnitudes of codes_MI and of codes_OI do not exceed.
    """
    bounds = {"largest": largest, "largest_weight": largest_weight}
    return integer_sums(codes_MI, codes_OI, **bounds, routines=routines).to(torch.float32)


def integer_sums(
    codes_MI: Tensor, codes_OI: Tensor, *, largest: int, largest_weight: int, routines: Routines
) -> Tensor:
    """The same as whole numbers, int32, where they are summed as such."""
    if takes_int8(codes_MI, codes_OI, largest_weight, routines):
        return torch._int_mm(codes_MI, codes_OI.t())
    exact = torch.float32 if codes_MI.shape[1] * largest * largest_weight <= 2**24 else torch.float64
    return torch.mm(codes_MI.to(exact), codes_OI.to(exact).t()).to(torch.float32)


def takes_int8(codes_MI: Tensor, codes_OI: Tensor, largest_weight: int, routines: Routines) -> bool:
    """Whether torch's int8 product is exact here, and takes these shapes.

    CUDA's wants more than 16 rows, and whole eights of everything else. Without VNNI, oneDNN on x86 adds
    pairs of products in 16 bits, of activations that are shifted to 0..255: 2 * 255 * 64 fits there, so sums
    are exact for weights up to 64, as at 1, 2 and 4 bits, and saturate at 8 bits.
    """
    (rows, inputs), outputs = codes_MI.shape, codes_OI.shape[0]
    if not codes_MI.is_cpu:
        return codes_MI.is_cuda and rows > 16 and inputs % 8 == 0 and outputs % 8 == 0
    if inputs == 1:  # torch 2.13 mistakes the transpose of a single column for a row
        return False
    # Processors of other makes say neither AVX2 nor AVX512; what they do with int8 is not known here.
    is_x86 = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    return routines.vnni or (largest_weight <= LARGEST_IN_PAIRS and is_x86)


def product(x_MI: Tensor, weight_OI: Tensor, bias_O: Tensor | None, routines: Routines) -> Tensor:
    """`x_MI @ weight_OI.T + bias_O` in the factors' own dtype [M, O]."""
    pays = x_MI.numel() * weight_OI.shape[0] >= WORTH_ONEDNN and x_MI.dtype == torch.float32
    if routines.onednn and pays and x_MI.device.type == "cpu":
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x_MI, weight_OI, bias_O, "none", [], "")
        return found
    return nn.functional.linear(x_MI, weight_OI, bias_O)


def input_gradient(gradient_MO: Tensor, weight_OI: Tensor, routines: Routines) -> Tensor:
    """`gradient_MO @ weight_OI`, float32 [M, I]."""
    dtype = routines.gradients
    return product(gradient_MO.to(dtype), weight_OI.to(dtype).t(), None, routines).to(torch.float32)


def weight_gradient(gradient_MO: Tensor, x_MI: Tensor, routines: Routines) -> Tensor:
    """`gradient_MO.T @ x_MI`, float32 [O, I]."""
    gradient_MO, x_MI = gradient_MO.to(routines.gradients), x_MI.to(routines.gradients)
    # In float32 oneDNN copies its first factor into rows: that had better be the narrower one.
    is_wide = gradient_MO.shape[1] > x_MI.shape[1] and gradient_MO.numel() * x_MI.shape[1] >= WORTH_ONEDNN
    if routines.onednn and routines.gradients == torch.float32 and is_wide:
        return product(x_MI.t(), gradient_MO.t(), None, routines).t().contiguous()
    return product(gradient_MO.t(), x_MI.t(), None, routines).to(torch.float32)
