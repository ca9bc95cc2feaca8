"""Memory of this process and of this machine, in MiB."""

import resource
import sys
from pathlib import Path

import psutil

MIB = 2**20
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere


def peak_mib() -> float:
    """The most main memory that this process, or one child that has ended, has had at once."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) * _MAXRSS_UNIT / MIB


def resident_files_mib() -> float:
    """What of this process's memory are pages of files: programs and libraries. 0 where nobody tells."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssFile:")) * 2**10 / MIB


def available_mib() -> float:
    """What a process that starts now can have without swapping."""
    return float(psutil.virtual_memory().available) / MIB


def started() -> float:
    """When this process began, in seconds since 1970."""
    return float(psutil.Process().create_time())
