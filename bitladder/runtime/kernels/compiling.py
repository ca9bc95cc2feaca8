"""numba's compiler with the project's options, and arrays over addresses.

Kernels take addresses: their instructions do, and numba's arrays cost more to pass than a row to compute.
"""

from typing import Any

import numba
from numba import njit, types
from numba.extending import intrinsic

# Nothing is reordered or fused but what is written so: results do not depend on the processor.
OPTIONS: dict[str, Any] = {"boundscheck": False, "nogil": True, "error_model": "numpy"}


def compiled(function: Any) -> Any:
    """`function` as machine code, compiled at its first call."""
    return njit(**OPTIONS)(function)


def _pointer(kind: Any) -> Any:
    @intrinsic
    def pointer(_: Any, address: Any) -> Any:
        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.intp), generate

    return pointer


def arrays(kind: Any) -> Any:
    """A function of an address and a size, or sizes: the array of that kind of numbers or records there."""
    pointer = _pointer(kind)

    @compiled
    def at(address, size):
        return numba.carray(pointer(address), size)

    return at


floats_at, ints_at = arrays(types.float32), arrays(types.int32)
