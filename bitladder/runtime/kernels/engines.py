"""Which kernels this computer runs: chosen by what its processor can do, or forced by BITLADDER_ENGINE.

    lookup         1-bit weights by table look-up (AVX-512BW), all else by int8 dot products (AVX-512 VNNI)
    dot_products   everything by int8 dot products; 1 bit by 1 bit by counting bits, as with lookup
    torch          no kernels of ours: torch's int8 product on weights that are unpacked

Both of the first give the same whole numbers, so the same results to the last bit.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

LOOKUP, DOT_PRODUCTS, TORCH = "lookup", "dot_products", "torch"
ENGINES = (LOOKUP, DOT_PRODUCTS, TORCH)
VARIABLE = "BITLADDER_ENGINE"
# Attention is a dot product of int8 in every engine but torch's.
NEEDED = {LOOKUP: ("avx512bw", "avx512vnni"), DOT_PRODUCTS: ("avx512bw", "avx512vnni"), TORCH: ()}
_NUMBA = (0, 68)  # the oldest that compiles them


class EngineError(ValueError):
    """BITLADDER_ENGINE asks for what there is not."""

    exit_code = 2


class UnsupportedError(RuntimeError):
    """The kernels do not run this model, or do not run on this computer; torch does."""

    exit_code = 2


@dataclass(frozen=True)
class Choice:
    """The engine, and why this one."""

    engine: str
    reason: str


def choose(environment: Mapping[str, str] = os.environ) -> Choice:
    """The best engine of this computer, or the one that the environment asks for.

    Raises:
        EngineError: that is unknown, or this computer does not have what it needs.
    """
    return chosen(environment.get(VARIABLE, ""), features())


def available() -> list[str]:
    """The engines of ours that this computer has what it needs for."""
    found = features()
    return [engine for engine in (LOOKUP, DOT_PRODUCTS) if not _lacking(engine, found)]


def chosen(forced: str, found: Mapping[str, bool] | None) -> Choice:
    """The same for what was found: a processor's features, or None where there is no numba for them."""
    if forced and forced not in ENGINES:
        raise EngineError(f"{VARIABLE}: {forced!r} is no engine; known: {', '.join(ENGINES)}")
    if forced:
        if lacking := _lacking(forced, found):
            raise EngineError(f"{VARIABLE}: {forced} needs {lacking}")
        return Choice(forced, f"{VARIABLE} asks for it")
    if lacking := _lacking(LOOKUP, found):
        return Choice(TORCH, f"the other engines need {lacking}")
    return Choice(LOOKUP, "the fastest where the processor has AVX-512BW and AVX-512 VNNI")


def features() -> dict[str, bool] | None:
    """What LLVM knows of this processor; None where numba is missing, too old, or without LLVM."""
    if find_spec("llvmlite") is None or not _has_numba():
        return None
    try:
        from llvmlite import binding
    except (ImportError, OSError):  # the second where its library is not to be loaded
        return None
    return dict(binding.get_host_cpu_features())


def _has_numba() -> bool:
    """Without importing it, which takes longer than a model to load."""
    if find_spec("numba") is None:
        return False
    try:
        version = re.match(r"(\d+)\.(\d+)", metadata.version("numba"))
    except metadata.PackageNotFoundError:
        return False
    return version is not None and tuple(map(int, version.groups())) >= _NUMBA


def _lacking(engine: str, found: Mapping[str, bool] | None) -> str:
    if not NEEDED[engine]:
        return ""
    if found is None:
        oldest = ".".join(map(str, _NUMBA))
        return f"numba, which is not installed, or older than {oldest} (pip install 'bitladder[runtime]')"
    missing = [name for name in NEEDED[engine] if not found.get(name)]
    return f"{' and '.join(missing)}, which this processor does not have" if missing else ""
