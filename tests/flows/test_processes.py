"""What a process says of its own memory."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from flows import processes

ROOT = Path(__file__).parents[2]


def peak_of_a_child() -> float:
    command = [sys.executable, "-c", "from flows import processes; print(processes.peak_mib())"]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own peak")
def test_a_peak_is_not_that_of_who_started_the_process() -> None:
    held = bytearray(b"1" * 2**28)
    assert processes.peak_mib() > 256
    assert peak_of_a_child() < 128
    del held


FRESH_PAGES = """
import resource, sys
from flows import processes
print(processes.keep_what_is_freed() if "keep" in sys.argv else False)
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = bytearray(2**26)
    held[:] = b"1" * 2**26
    del held
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def fresh_pages(*arguments: str, **variables: str) -> tuple[bool, int]:
    """Whether glibc was told to keep memory, and the pages that blocks of 64 MiB got anew at last."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))
    }
    said = subprocess.run(
        [sys.executable, "-c", FRESH_PAGES, *arguments],
        cwd=ROOT,
        env={**inherited, **variables},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return said[0] == "True", int(said[1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told anything")
def test_a_large_block_is_used_again_instead_of_fetched_anew() -> None:
    (_, anew), (is_kept, again) = fresh_pages(), fresh_pages("keep")
    assert is_kept
    assert again < anew / 10  # however large the kernel's pages are


@pytest.mark.parametrize(
    ("name", "value", "is_kept"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072", False),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=9:glibc.malloc.arena_max=2", False),
        ("MALLOC_ARENA_MAX", "2", True),
        ("GLIBC_TUNABLES", "glibc.pthread.rseq=0", True),
    ],
)
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told anything")
def test_how_memory_is_kept_is_the_persons_to_say(name: str, value: str, is_kept: bool) -> None:
    assert fresh_pages("keep", **{name: value})[0] is is_kept


def test_memory_that_is_given_back_counts_in_the_peak() -> None:
    before = processes.peak_mib()
    held = bytearray(b"1" * int((before + 64) * processes.MIB))
    del held
    assert processes.peak_mib() >= before + 64
