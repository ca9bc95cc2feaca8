"""What a process says of its own memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows import memory

ROOT = Path(__file__).parents[2]


def peak_of_a_child() -> float:
    command = [sys.executable, "-c", "from flows import memory; print(memory.peak_mib())"]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own peak")
def test_a_peak_is_not_that_of_who_started_the_process() -> None:
    held = bytearray(b"1" * 2**28)
    assert memory.peak_mib() > 256
    assert peak_of_a_child() < 128
    del held


def test_memory_that_is_given_back_counts_in_the_peak() -> None:
    before = memory.peak_mib()
    held = bytearray(b"1" * int((before + 64) * memory.MIB))
    del held
    assert memory.peak_mib() >= before + 64
