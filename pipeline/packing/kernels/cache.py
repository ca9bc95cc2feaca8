"""Where the kernels' machine code is kept, so that only the first process on a computer compiles it.

numba notices when the file of a function changes, but not when a file does that only gives instructions. So
everything that the machine code depends on is in the folder's name: the text of all kernels, the versions of
the compilers, the processor.
"""

import hashlib
import os
from pathlib import Path

import llvmlite
import numba
from llvmlite import binding


def folder() -> Path | None:
    """The folder, made if it was not there; None where it is not this user's alone to write."""
    path = base() / digest()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError:
        return None
    # What lies there is run: it must be nobody else's to write.
    is_ours = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    return path if is_ours and os.access(path, os.W_OK) else None


def base() -> Path:
    """In the user's folder for caches."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "bitladder" / "kernels"


def digest() -> str:
    """Of all that the machine code depends on."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    target = (numba.__version__, llvmlite.__version__, binding.get_host_cpu_name())
    found.update("\0".join(target).encode())
    return found.hexdigest()[:32]
