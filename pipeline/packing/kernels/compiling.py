"""numba's compiler with the project's options, its cache on disk, and arrays over addresses.

Kernels take addresses: their instructions do, and numba's arrays cost more to pass than a row to compute.
"""

from typing import Any

import numba
from numba import njit, types
from numba.extending import intrinsic

from pipeline.packing.kernels import cache

# Nothing is reordered or fused but what is written so: results do not depend on the processor.
OPTIONS: dict[str, Any] = {"boundscheck": False, "nogil": True, "error_model": "numpy"}


def compiled(function: Any) -> Any:
    """`function` as machine code, compiled at its first call."""
    return njit(**OPTIONS)(function)


def kept(function: Any) -> Any:
    """The same, its machine code kept on disk for the next process: for what Python calls."""
    folder = cache.folder()
    if folder is None:
        return compiled(function)
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
    try:
        return njit(cache=True, **OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before


def _pointer(kind: Any) -> Any:
    @intrinsic
    def pointer(_: Any, address: Any) -> Any:
        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.intp), generate

    return pointer


_floats, _ints = _pointer(types.float32), _pointer(types.int32)


@compiled
def floats_at(address, size):
    """The float32 array of so many numbers at an address."""
    return numba.carray(_floats(address), size)


@compiled
def ints_at(address, size):
    """The int32 array of so many numbers at an address."""
    return numba.carray(_ints(address), size)
