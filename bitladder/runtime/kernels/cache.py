"""Where the kernels' machine code is kept, so that only the first process on a computer compiles it.

Everything that the machine code depends on is in the folder's name: the text of all kernels, the versions of
the compilers and what the environment tells them, the processor and what it can do. In front of a file's code
is its digest: what is cut short or changed is compiled again.
"""

import hashlib
import os
import tempfile
from importlib import metadata
from pathlib import Path

import llvmlite
from llvmlite import binding

_SIZE = hashlib.sha256().digest_size


def folder() -> Path | None:
    """The folder, made if it was not there; None where that cannot be, or others but root may write there."""
    try:
        path = base() / digest()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except (OSError, RuntimeError):
        return None
    # What lies there is run: it must be nobody else's to write.
    is_ours = not hasattr(os, "getuid") or (found.st_uid in (0, os.getuid()) and not found.st_mode & 0o022)
    return path if is_ours else None


def base() -> Path:
    """In the user's folder for caches. Raises RuntimeError where the user has no home."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "bitladder" / "kernels"


def digest() -> str:
    """Of all that the machine code depends on."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    # Importing numba for its version would take longer than all else.
    versions = (metadata.version("numba"), llvmlite.__version__)
    told = (f"{name}={value}" for name, value in sorted(os.environ.items()) if _is_for_compiler(name))
    processor = (binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten())
    found.update("\0".join((*versions, binding.get_default_triple(), *processor, *told)).encode())
    return found.hexdigest()[:32]


def _is_for_compiler(name: str) -> bool:
    """Not what is set in processes that share work, and changes no code."""
    return name.startswith("NUMBA_") and name not in ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR")


def read(name: str) -> bytes | None:
    """The code kept under a name; None where there is none, or it is not what was written."""
    path = folder()
    if path is None:
        return None
    try:
        found = (path / name).read_bytes()
    except OSError:
        return None
    return found[_SIZE:] if hashlib.sha256(found[_SIZE:]).digest() == found[:_SIZE] else None


def keep(name: str, code: bytes) -> None:
    """At once or not at all, for processes that read or write it meanwhile; nothing where nothing can be."""
    path = folder()
    if path is None:
        return
    try:
        with tempfile.TemporaryDirectory(dir=path) as own:
            part = Path(own) / name
            part.write_bytes(hashlib.sha256(code).digest() + code)
            os.replace(part, path / name)
    except OSError:
        return
