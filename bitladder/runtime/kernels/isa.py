"""What this processor can do, and what of that machine code is made for.

x86: LLVM asks the processor, and whether the system keeps its wide registers. Tiles (AMX) are also asked for:
Linux gives them only to processes that do. Arm: the system says it (getauxval); LLVM would read
/proc/cpuinfo, which is another processor's under emulation.
"""

import ctypes
import os
import platform
import sys
from functools import cache as once

from llvmlite import binding

X86, ARM = "x86", "arm"
TILES = "amx-int8"
_SYSCALL_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18
_AT_HWCAP, _AT_HWCAP2 = 16, 26
# Of Linux's bits those that kernels ask for, and of `HWCAP2`.
_HWCAP, _HWCAP2 = {"neon": 1 << 1, "dotprod": 1 << 20, "fullfp16": 1 << 10}, {"i8mm": 1 << 13}


def family() -> str:
    """X86, ARM, or what Python calls the machine."""
    machine = platform.machine().lower()
    return {"x86_64": X86, "amd64": X86, "aarch64": ARM, "arm64": ARM}.get(machine, machine)


@once
def features() -> dict[str, bool]:
    """By LLVM's names."""
    if family() == ARM and sys.platform == "linux":
        return _arm()
    found = dict(binding.get_host_cpu_features())
    if family() == ARM and sys.platform == "darwin":  # all that Apple has made for computers
        found |= {"neon": True, "dotprod": True}
    if found.get(TILES):
        found[TILES] = found["amx-tile"] = found["amx-bf16"] = _may_use_tiles()
    return found


def _may_use_tiles() -> bool:
    """Ask Linux for them, for this process and those that it will fork."""
    if sys.platform != "linux":
        return False
    call = ctypes.CDLL(None, use_errno=True).syscall
    arguments = (_SYSCALL_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA)
    return int(call(*map(ctypes.c_long, arguments))) == 0


def _arm() -> dict[str, bool]:
    ask = ctypes.CDLL(None).getauxval
    ask.argtypes, ask.restype = [ctypes.c_ulong], ctypes.c_ulong
    first, second = ask(_AT_HWCAP), ask(_AT_HWCAP2)
    found = {name: bool(first & bit) for name, bit in _HWCAP.items()}
    return found | {name: bool(second & bit) for name, bit in _HWCAP2.items()}


def flattened(found: dict[str, bool]) -> str:
    """As LLVM takes it."""
    return ",".join(f"{'+' if is_there else '-'}{name}" for name, is_there in sorted(found.items()))


def target(held: tuple[str, str] | None = None) -> tuple[str, str]:
    """LLVM's name of a processor, and its features: this one's with all it can do, or those it is held to."""
    if held is not None:
        return held
    name = "generic" if family() == ARM and sys.platform == "linux" else binding.get_host_cpu_name()
    return name, flattened(features())


def processor() -> str:
    """Its name, for people."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0]} ({binding.get_host_cpu_name()})" if names else str(binding.get_host_cpu_name())


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
