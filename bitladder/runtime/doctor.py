"""`bitladder doctor`: how packed models run on this computer, and why so."""

import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bitladder.runtime.kernels import engines
from bitladder.runtime.kernels.engines import Choice
from bitladder.runtime.model import num_threads

PACKAGES = ("numba", "llvmlite", "numpy", "safetensors", "tokenizers", "torch", "transformers")
# What kernels use or could: of the many features of a processor those that say something here.
TELLING = ("avx2", "avx512bw", "avx512vnni", "avx512vbmi", "avx512vpopcntdq", "avxvnni", "neon", "dotprod")


# What linears that read quantized activations hold in memory: int8_products.py, kernels/memory_order.py.
_UNPACKED = "one byte each once they were used, beside their bits"
_PACKED = "their bits alone, in the order that the kernels read them"


def main(as_json: bool) -> int:
    """Print the engine, what it was chosen from, and the versions of what it needs. Raises as `findings`."""
    found = findings()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, sort_keys=True) + "\n")
        return 0
    versions = ", ".join(f"{name} {number or 'not there'}" for name, number in found["versions"].items())
    forced = f"{engines.VARIABLE}={found['forced']}" if found["forced"] else f"{engines.VARIABLE} is not set"
    lines = (
        f"engine     {found['engine']}: {found['reason']}",
        f"forced     {forced}; known: {', '.join(engines.ENGINES)}",
        f"processor  {_of_processor(found)}",
        f"threads    {found['threads']}",
        f"versions   {versions}",
        f"cache      {found['cache'] or _without_cache(found)}",
        f"weights    {found['weights']}",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def findings() -> dict[str, Any]:
    """The same as values; features are None where they are not known. Raises EngineError, ThreadsError."""
    choice, features = engines.choose(), engines.features()
    return {
        "engine": choice.engine,
        "reason": choice.reason + _lacking(choice),
        "forced": os.environ.get(engines.VARIABLE) or None,
        "processor": _processor() if features is not None else None,
        "features": {name: None if features is None else bool(features.get(name)) for name in TELLING},
        "threads": num_threads(),
        "versions": {name: _version(name) for name in PACKAGES},
        "weights": _UNPACKED if choice.engine == engines.TORCH else _PACKED,
        "cache": str(_cache()) if features is not None and _cache() else None,
    }


def _of_processor(found: dict[str, Any]) -> str:
    if not found["processor"]:
        return "not known without numba"
    has = ", ".join(name for name, is_there in found["features"].items() if is_there)
    return f"{found['processor']}: {has or 'nothing that kernels use'}"


def _without_cache(found: dict[str, Any]) -> str:
    has_kernels = found["engine"] != engines.TORCH
    return f"none: {'kernels are compiled in each process' if has_kernels else 'engine torch has no kernels'}"


def _lacking(choice: Choice) -> str:
    """What engine torch needs and is not installed."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if choice.engine != engines.TORCH or not missing:
        return ""
    return f"; {' and '.join(missing)} not installed (pip install 'bitladder[train]')"


def _processor() -> str:
    from llvmlite import binding

    return str(binding.get_host_cpu_name())


def _cache() -> Path | None:
    from bitladder.runtime.kernels import machine_code

    return machine_code.folder()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
