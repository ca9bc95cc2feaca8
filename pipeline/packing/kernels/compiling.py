"""numba's compiler with the project's options, and its cache on disk.

The cache holds machine code for this processor. numba notices when the file of a compiled function changes,
but not when a file that it takes instructions from does: the folder's name has a digest of all of them.
"""

from typing import Any

from numba import njit

# No reordering of sums: what is added in which order is the same on every processor.
OPTIONS: dict[str, Any] = {"boundscheck": False, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def compiled(function: Any) -> Any:
    return njit(**OPTIONS)(function)
