"""The compiled functions that a running model is, kept on disk: only the first process compiles them.

A process that finds it there imports no compiler but LLVM's loader: numba would take longer to import than
the model to load, and as much memory as both.

Everything that the machine code depends on is in the name of its folder: the text of all kernels, the
versions of the compilers and what the environment tells them, the processor and what it can do. In front of a
file's code is its digest: what is cut short or changed is compiled again.
"""

import ctypes
import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache as once
from importlib import metadata
from pathlib import Path
from typing import Any

import llvmlite
from llvmlite import binding

from bitladder.runtime.kernels import isa
from bitladder.runtime.kernels.engines import UnsupportedError

_DIGEST_SIZE = hashlib.sha256().digest_size
Held = tuple[str, str] | None  # a processor and its features; None: this one


@once
def answer(held: Held = None) -> Callable[..., None]:
    """`sequence.answer` as a function of whole numbers; other threads run while it computes.

    Args:
        held: the processor and the features that it is made for.

    Raises:
        UnsupportedError: numba, or its LLVM, does not make it on this computer or in this environment.
    """

    def made() -> tuple[Any, int]:
        from bitladder.runtime.kernels import sequence  # with it, numba

        return sequence.answer, sequence.NUM_ARGUMENTS

    return function(_address("answer", made, held))


@once
def product(name: str, bits: int, held: Held = None) -> int:
    """The address of `products.made(name, bits)`. Raises as `answer`."""

    def made() -> tuple[Any, int]:
        from bitladder.runtime.kernels import products  # with it, numba

        return products.made(name, bits), products.NUM_ARGUMENTS

    return _address(f"{name}_{bits}", made, held)


def function(address: int) -> Callable[..., None]:
    """Of whole numbers, from where one of the above is."""
    found = ctypes.CFUNCTYPE(ctypes.c_int)(address)
    # Where it would put its result and what it raised, which it does not.
    places = (ctypes.c_void_p * 2)()
    first = ctypes.addressof(places)
    nothing, error = ctypes.c_void_p(first), ctypes.c_void_p(first + ctypes.sizeof(ctypes.c_void_p))
    _loaded.append(places)

    def call(*arguments: int) -> None:
        status = found(nothing, error, *map(ctypes.c_ssize_t, arguments))
        assert status == 0, f"compiled code ended with {status}"

    return call


def _address(name: str, made: Callable[[], tuple[Any, int]], held: Held) -> int:
    """Of a function, from disk or compiled. Raises UnsupportedError."""
    name = f"bitladder_{name}"
    try:
        code = read(f"{name}.o", held)
        if code is None:
            from bitladder.runtime.kernels import compiling  # with it, numba

            code = compiling.object_file(*made(), name, isa.target(held))
            keep(f"{name}.o", code, held)
        return _linked(name, code)
    except Exception as error:  # whatever a compiler may raise that is broken, or told not to compile
        what, *_ = str(error).splitlines() or [""]
        raise UnsupportedError(f"the kernels do not compile here: {type(error).__name__}: {what}") from error


def _linked(name: str, code: bytes) -> int:
    binding.initialize_native_target()
    loader = binding.create_lljit_compiler(
        binding.Target.from_default_triple().create_target_machine(jit=True)
    )
    library = binding.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(name)
    tracker = library.link(loader, name)
    _loaded.append((tracker, loader))
    return int(tracker[name])


_loaded: list[Any] = []  # machine code is unmapped with its loader


def read(name: str, held: Held = None) -> bytes | None:
    """The code kept under a name; None where there is none, or it is not what was written."""
    path = folder(held)
    if path is None:
        return None
    try:
        found = (path / name).read_bytes()
    except OSError:
        return None
    digest, code = found[:_DIGEST_SIZE], found[_DIGEST_SIZE:]
    return code if hashlib.sha256(code).digest() == digest else None


def keep(name: str, code: bytes, held: Held = None) -> None:
    """At once or not at all, for processes that read or write it meanwhile; nothing where nothing can be."""
    path = folder(held)
    if path is None:
        return
    try:
        with tempfile.TemporaryDirectory(dir=path) as own:
            part = Path(own) / name
            part.write_bytes(hashlib.sha256(code).digest() + code)
            os.replace(part, path / name)
    except OSError:
        return


def folder(held: Held = None) -> Path | None:
    """In the user's folder for caches, made if it was not there.

    None where it cannot be made, the user has no home, or others but root may write there.
    """
    try:
        home = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
        path = base / "bitladder" / "kernels" / digest(held)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except (OSError, RuntimeError):
        return None
    # What lies there is run: it must be nobody else's to write.
    is_ours = not hasattr(os, "getuid") or (found.st_uid in (0, os.getuid()) and not found.st_mode & 0o022)
    return path if is_ours else None


def digest(held: Held = None) -> str:
    """Of all that the machine code depends on."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    # Importing numba for its version would take longer than all else.
    versions = (metadata.version("numba"), llvmlite.__version__)
    # The first of these is set in processes that share work; neither changes the code.
    others = ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR")
    names = sorted(name for name in os.environ if name.startswith("NUMBA_") and name not in others)
    told = (f"{name}={os.environ[name]}" for name in names)
    found.update("\0".join((*versions, binding.get_default_triple(), *isa.target(held), *told)).encode())
    return found.hexdigest()[:32]
