"""The compiled function that a running model is, from the cache on disk; only the first process compiles it.

A process that finds it there imports no compiler but LLVM's loader: numba would take longer to import than
the model to load, and as much memory as both.
"""

import ctypes
from collections.abc import Callable
from functools import cache as once
from typing import Any

from llvmlite import binding

from bitladder.runtime.kernels import cache

NAME = "bitladder_answer"
FILE = f"{NAME}.o"


class CompilerError(RuntimeError):
    """There is no machine code, and none can be made."""


@once
def load() -> Callable[..., None]:
    """`sequence.answer` as a function of whole numbers; other threads run while it computes.

    Raises:
        CompilerError: numba, or its LLVM, does not make it on this computer or in this environment.
    """
    try:
        return _linked(_code())
    except Exception as error:  # whatever a compiler may raise that is broken, or told not to compile
        what, *_ = str(error).splitlines() or [""]
        raise CompilerError(f"the kernels do not compile here: {type(error).__name__}: {what}") from error


def _code() -> bytes:
    code = cache.read(FILE)
    if code is None:
        from bitladder.runtime.kernels import sequence  # with it, numba

        code = sequence.machine_code(NAME)
        cache.keep(FILE, code)
    return code


def _linked(code: bytes) -> Callable[..., None]:
    binding.initialize_native_target()
    loader = binding.create_lljit_compiler(
        binding.Target.from_default_triple().create_target_machine(jit=True)
    )
    library = binding.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(NAME)
    tracker = library.link(loader, NAME)
    function = ctypes.CFUNCTYPE(ctypes.c_int)(tracker[NAME])
    # Where the function would put its result and what it raised, which it does not.
    places = (ctypes.c_void_p * 2)()
    first = ctypes.addressof(places)
    nothing, error = ctypes.c_void_p(first), ctypes.c_void_p(first + ctypes.sizeof(ctypes.c_void_p))

    def answer(*arguments: int) -> None:
        status = function(nothing, error, *map(ctypes.c_ssize_t, arguments))
        assert status == 0, f"compiled code ended with {status}"

    _loaded.append((tracker, loader, places))
    return answer


_loaded: list[Any] = []  # machine code is unmapped with its loader
