"""Engines: ways to multiply whole numbers, each for processors that have its instructions.

    amx            Intel's tiles: 16 rows, 64 inputs and 16 outputs in one instruction
    lookup         1-bit weights by table look-up (AVX-512BW), all else as avx512_vnni
    avx512_vnni    64 products in one instruction
    avx_vnni       32 products in one instruction, without AVX-512
    avx2           32 products in two instructions
    i8mm           Arm: 2 rows, 8 inputs and 2 outputs in one instruction
    dotprod        Arm: 16 products in one instruction
    neon           Arm: 8 products and 4 sums of two in two instructions
    plain          what every processor has
    torch          none of these: torch's int8 product on weights that are unpacked

All but torch give the same whole numbers, and all else is computed alike, so the same results to the last
bit. 1-bit activations are counted in each, with 1-bit weights.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as once
from importlib import metadata
from importlib.util import find_spec

TORCH = "torch"
VARIABLE = "BITLADDER_ENGINE"
_NUMBA = (0, 68)  # the oldest that compiles them
_V3 = "x86-64-v3"  # AVX2 and what came with it


class EngineError(ValueError):
    """BITLADDER_ENGINE asks for what there is not."""

    exit_code = 2


class UnsupportedError(RuntimeError):
    """The kernels do not run this model, or do not run on this computer; torch does."""

    exit_code = 2


@dataclass(frozen=True)
class Choice:
    """The engine, why this one, and whether somebody asked for it by name."""

    engine: str
    reason: str
    is_forced: bool = False


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        families: of processors; none: all.
        needs: features by LLVM's names.
        rows: of a block. Many, where weights are expanded once for all of them.
        panel: outputs that are multiplied and finished at a time; 0: all.
        raised: added to codes of 8 bits that stand for weights, as the instructions want them.
        bits: of weights that it multiplies; other weights go to `others`.
        held: LLVM's processor and features that all kernels are held to when it is asked for by name.
    """

    name: str
    families: tuple[str, ...]
    needs: tuple[str, ...]
    rows: int
    panel: int = 192
    raised: int = 0
    bits: tuple[int, ...] = (1, 2, 4, 8)
    others: str = ""
    held: tuple[str, str] | None = None

    def for_bits(self, bits: int) -> "Engine":
        """Which multiplies weights of so many."""
        return self if bits in self.bits else ENGINES[self.others]


_AVX512 = ("avx512bw", "avx512vnni")
_LISTED = [
    Engine("amx", ("x86",), ("amx-int8", "amx-tile"), rows=64, panel=384),
    Engine("lookup", ("x86",), _AVX512, rows=8, panel=0, bits=(1,), others="avx512_vnni", raised=128),
    Engine("avx512_vnni", ("x86",), _AVX512, rows=32, raised=128),
    Engine("avx_vnni", ("x86",), ("avx2", "fma", "avxvnni"), rows=30, raised=128, held=(_V3, "+avxvnni")),
    Engine("avx2", ("x86",), ("avx2", "fma"), rows=32, held=(_V3, "")),
    Engine("i8mm", ("arm",), ("i8mm", "dotprod"), rows=16),
    Engine("dotprod", ("arm",), ("dotprod",), rows=24, held=("generic", "+neon,+dotprod")),
    Engine("neon", ("arm",), ("neon",), rows=16, held=("generic", "+neon")),
    Engine("plain", (), (), rows=16),
]
# By the order in which they are likely to be fast: what is taken where nothing was measured.
ENGINES = {engine.name: engine for engine in _LISTED}
NAMES = (*ENGINES, TORCH)


def choose(environment: Mapping[str, str] = os.environ) -> Choice:
    """The engine that the environment asks for, or the likely best of this computer.

    Raises:
        EngineError: that is unknown, or this computer does not have what it needs.
    """
    return chosen(environment.get(VARIABLE, ""), available())


def chosen(forced: str, found: Mapping[str, str]) -> Choice:
    """The same for engines with what each lacks here, "" where it runs."""
    if forced and forced not in NAMES:
        raise EngineError(f"{VARIABLE}: {forced!r} is no engine; known: {', '.join(NAMES)}")
    if forced and (lacking := found.get(forced, "")):
        raise EngineError(f"{VARIABLE}: {forced} needs {lacking}")
    if forced:
        return Choice(forced, f"{VARIABLE} asks for it", is_forced=True)
    first = next((name for name, lacking in found.items() if not lacking), TORCH)
    if first == TORCH:
        return Choice(TORCH, f"the other engines need {found['plain']}")
    return Choice(first, "the likely best of this processor")


def running() -> list[str]:
    """The engines of ours that this computer has what it needs for, the likely best one first."""
    return [name for name, lacking in available().items() if not lacking]


def available() -> dict[str, str]:
    """Of each engine of ours what it lacks here; "" where it runs."""
    found = features()
    return {name: lacking(engine, found) for name, engine in ENGINES.items()}


def features() -> dict[str, bool] | None:
    """What is known of this processor; None where numba is missing, too old, or without LLVM."""
    if not has_compiler():
        return None
    from bitladder.runtime.kernels import isa

    return isa.features()


@once
def has_compiler() -> bool:
    """Without importing numba, which takes longer than a model to load."""
    if find_spec("numba") is None or find_spec("llvmlite") is None:
        return False
    try:
        version = re.match(r"(\d+)\.(\d+)", metadata.version("numba"))
        from llvmlite import binding  # noqa: F401
    except (metadata.PackageNotFoundError, ImportError, OSError):  # the last where its library is not loaded
        return False
    return version is not None and tuple(map(int, version.groups())) >= _NUMBA


def lacking(engine: Engine, found: Mapping[str, bool] | None) -> str:
    """What an engine wants that was not found, in words; "" if nothing."""
    if found is None:
        oldest = ".".join(map(str, _NUMBA))
        return f"numba, which is not installed, or older than {oldest} (pip install 'bitladder[runtime]')"
    from bitladder.runtime.kernels import isa

    if engine.families and isa.family() not in engine.families:
        return f"another kind of processor ({' or '.join(engine.families)})"
    missing = [name for name in engine.needs if not found.get(name)]
    return f"{' and '.join(missing)}, which this processor does not have" if missing else ""
