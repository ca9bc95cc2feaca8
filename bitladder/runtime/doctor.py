"""`bitladder doctor`: how packed models run on this computer, and why so."""

import json
import os
import sys
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from bitladder.runtime.kernels import engines
from bitladder.runtime.model import num_threads

PACKAGES = ("numba", "llvmlite", "numpy", "safetensors", "tokenizers", "torch", "transformers")
# What kernels use or could: of the many features of a processor those that say something here.
TELLING = ("avx2", "avx512bw", "avx512vnni", "avx512vbmi", "avx512vpopcntdq", "avxvnni", "neon", "dotprod")

# What linears that read quantized activations hold in memory.
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
    has = ", ".join(name for name, is_there in found["features"].items() if is_there)
    processor = f"{found['processor']}: {has or 'nothing that kernels use'}"
    is_torch = found["engine"] == engines.TORCH
    uncached = "engine torch has no kernels" if is_torch else "kernels are compiled in each process"
    lines = (
        f"engine     {found['engine']}: {found['reason']}",
        f"forced     {forced}; known: {', '.join(engines.ENGINES)}",
        f"processor  {processor if found['processor'] else 'not known without numba'}",
        f"threads    {found['threads']}",
        f"versions   {versions}",
        f"cache      {found['cache'] or f'none: {uncached}'}",
        f"weights    {found['weights']}",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def findings() -> dict[str, Any]:
    """The same as values; features are None where they are not known. Raises EngineError, ThreadsError."""
    choice, features = engines.choose(), engines.features()
    versions = {name: version(name) if find_spec(name) else None for name in PACKAGES}
    missing = [name for name in ("torch", "transformers") if versions[name] is None]
    lacking = f"; {' and '.join(missing)} not installed (pip install 'bitladder[train]')"
    processor = cache = None
    if features is not None:
        from llvmlite import binding

        from bitladder.runtime.kernels import machine_code

        processor, cache = str(binding.get_host_cpu_name()), machine_code.folder()
    return {
        "engine": choice.engine,
        "reason": choice.reason + (lacking if choice.engine == engines.TORCH and missing else ""),
        "forced": os.environ.get(engines.VARIABLE) or None,
        "processor": processor,
        "features": {name: None if features is None else bool(features.get(name)) for name in TELLING},
        "threads": num_threads(),
        "versions": versions,
        "weights": _UNPACKED if choice.engine == engines.TORCH else _PACKED,
        "cache": str(cache) if cache else None,
    }
