"""`bitladder doctor`: how packed models run on this computer, and why so."""

import json
import os
import sys
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from bitladder.runtime import choosing
from bitladder.runtime.choosing import BERT_BASE, FEW, MANY
from bitladder.runtime.kernels import engines
from bitladder.runtime.model import num_threads

PACKAGES = ("numba", "llvmlite", "numpy", "safetensors", "tokenizers", "torch", "transformers")
# What kernels use or could: of the many features of a processor those that say something here.
_X86 = ("avx2", "avxvnni", "avx512bw", "avx512vnni", "avx512vpopcntdq", "amx-int8")
TELLING = (*_X86, "neon", "dotprod", "i8mm")

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
        f"forced     {forced}; known: {', '.join(engines.NAMES)}",
        f"processor  {processor if found['processor'] else 'not known without numba'}",
        *_table(found),
        f"threads    {found['threads']}",
        f"versions   {versions}",
        f"cache      {found['cache'] or f'none: {uncached}'}",
        f"weights    {found['weights']}",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _table(found: dict[str, Any]) -> list[str]:
    """Of each engine what a layer of BERT-base takes, 1-bit weights and 8-bit activations, or why it does
    not run."""
    lines: list[str] = []
    for name, lacking in found["engines"].items():
        if lacking.startswith("another kind"):
            continue
        times = found["milliseconds"].get(name)
        said = f"needs {lacking}" if lacking else "runs; not measured"
        if times:
            few, many = (times[str(rows)] for rows in (FEW, MANY))
            said = f"{few:.2f} ms for {FEW} rows, {many:.2f} ms for {MANY}"
        lines.append(f"{'products' if not lines else '':<11}{name:<12}{said}")
    what = "One layer's products at 1-bit weights and 8-bit activations, BERT-base, one thread."
    return [*lines, f"{'':<11}{what}"] if found["milliseconds"] else lines


def findings() -> dict[str, Any]:
    """The same as values; features are None where they are not known. Raises EngineError, ThreadsError."""
    choice, features, table = choosing.choose(BERT_BASE), engines.features(), {}
    if features is not None and not choice.is_forced:
        table = choosing.measured(BERT_BASE)
    versions = {name: version(name) if find_spec(name) else None for name in PACKAGES}
    missing = [name for name in ("torch", "transformers") if versions[name] is None]
    lacking = f"; {' and '.join(missing)} not installed (pip install 'bitladder[train]')"
    processor = cache = None
    if features is not None:
        from bitladder.runtime.kernels import isa, machine_code

        processor, cache = isa.processor(), machine_code.folder()
    return {
        "engine": choice.engine,
        "reason": choice.reason + (lacking if choice.engine == engines.TORCH and missing else ""),
        "forced": os.environ.get(engines.VARIABLE) or None,
        "processor": processor,
        "features": {name: None if features is None else bool(features.get(name)) for name in TELLING},
        "engines": engines.available(),
        "milliseconds": {name: {str(FEW): few, str(MANY): many} for name, (few, many) in table.items()},
        "threads": num_threads(),
        "versions": versions,
        "weights": _UNPACKED if choice.engine == engines.TORCH else _PACKED,
        "cache": str(cache) if cache else None,
    }
