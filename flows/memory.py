"""Memory of this process and of this machine, in MiB, and how it is kept."""

import ctypes
import os
import re
import resource
import sys
from pathlib import Path

import psutil

MIB = 2**20
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h
_SAID_BY_A_PERSON = re.compile(r"MALLOC_(MMAP|TRIM|TOP_PAD)|GLIBC_TUNABLES=.*glibc\.malloc")
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere


def peak_mib() -> float:
    """The most main memory that this process, or one child that has ended, has had at once."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _MAXRSS_UNIT / MIB
    return max(_own_peak_mib(), children)


def _own_peak_mib() -> float:
    """Linux's ru_maxrss has what the process that started this one held then: a large test run, say."""
    own = _status_mib("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT / MIB if own is None else own


def keep_what_is_freed() -> bool:
    """Let this process use again what it has freed; return whether anything was changed.

    glibc gives a block of more than 32 MiB back to the kernel and gets pages of zeros for the next one: every
    large tensor of scoring and calibrating, which costs an eighth to a third of scoring's processor time
    (docs/log.md). Other C libraries are left alone, and so is a process that a person has told about it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or any(map(_SAID_BY_A_PERSON.match, map("=".join, os.environ.items()))):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def resident_mib() -> float:
    """What this process has now."""
    return float(psutil.Process().memory_info().rss) / MIB


def _status_mib(key: str) -> float | None:
    """What Linux says of this process; None where nobody does."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith(f"{key}:")]
    return int(found[0].split()[1]) * 2**10 / MIB if found else None


def available_mib() -> float:
    """What a process that starts now can have without swapping."""
    return float(psutil.virtual_memory().available) / MIB
