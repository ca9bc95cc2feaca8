"""Compiled loops for what torch does in several passes: codes, values of codes, and what follows a product.

Each does the same operations on each number as the torch code beside which it is called, in the same order
and without fusing any of them: the bits are the same, so nobody can tell where they were used. Sums are not
among them: those depend on an order.

They are for one thread on a CPU, and only once `start` was called, which loads numba: training does, a
process that answers once need not. Where there is no numba torch computes.

Shapes: M rows, I columns.
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

_compiled: Any = None


def start() -> bool:
    """Load the loops; whether there are any."""
    global _compiled
    if find_spec("numba") is None:
        return False
    from bitladder.quantizers import compiled_loops

    _compiled = compiled_loops
    return True


def stop() -> None:
    """Leave everything to torch again."""
    global _compiled
    _compiled = None


def serve(*tensors: Tensor | None) -> bool:
    """Whether loops are loaded that take these tensors."""
    return (
        _compiled is not None
        and torch.get_num_threads() == 1
        and all(each is None or _serve(each) for each in tensors)
    )


def _serve(x: Tensor) -> bool:
    is_known = x.dtype in (torch.float32, torch.int8, torch.int32)
    return is_known and x.device.type == "cpu" and x.is_contiguous() and x.dim() > 0


def signs(x: Tensor) -> Tensor:
    """-1 below zero, else +1, int8."""
    codes = torch.empty(x.shape, dtype=torch.int8)
    _compiled.signs(_flat(x), _flat(codes))
    return codes


def nearest_per_row(x: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """Codes, int8, and steps [..., 1]: the largest magnitude of a row (the last dimension) is `largest`."""
    codes, step = torch.empty(x.shape, dtype=torch.int8), torch.empty((*x.shape[:-1], 1))
    smallest = torch.finfo(torch.float32).tiny * largest
    rows = _rows(x)
    _compiled.nearest_per_row(rows, rows.view("int32"), smallest, largest, _flat(step), _rows(codes))
    return codes, step


def values_in_bfloat16(codes: Tensor, step: Tensor) -> Tensor:
    """`codes * step` of each row in float32, rounded to bfloat16; step: [..., 1]."""
    found = torch.empty(codes.shape, dtype=torch.bfloat16)
    _compiled.values_in_bfloat16(_rows(codes), _flat(step), _rows(found.view(torch.int16)))
    return found


def scaled(sums_MO: Tensor, step_M: Tensor, scale_O: Tensor, bias_O: Tensor) -> Tensor:
    """`(sums * step) * scale + bias`, float32; sums: int32."""
    found = torch.empty(sums_MO.shape)
    _compiled.scaled(sums_MO.numpy(), _flat(step_M), _flat(scale_O), _flat(bias_O), found.numpy())
    return found


def _flat(x: Tensor) -> Any:
    return x.detach().view(-1).numpy()


def _rows(x: Tensor) -> Any:
    return x.detach().view(-1, x.shape[-1]).numpy()
