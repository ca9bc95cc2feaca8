"""Arm's engines are exact, and a packed model answers there as it does here, to the last bit.

On another processor an aarch64 Python is emulated: `.ci/arm64-python setup DIR` makes one (as root on
Debian), and BITLADDER_ARM64=DIR says where it is.
"""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from packed_models import PRECISIONS, Make, inputs
from with_kernels import has_kernels

from bitladder import runtime

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, has_kernels]
# Processors, by qemu's names, and the engines that they run.
PROCESSORS = {
    "max": "i8mm dotprod neon plain",
    "cortex-a76": "dotprod neon plain",
    "cortex-a72": "neon plain",
}


def python(processor: str) -> list[str]:
    """An aarch64 Python; skips where there is none."""
    if platform.machine() == "aarch64":
        pytest.skip("this is one: the other tests of products are about it")
    folder = os.environ.get("BITLADDER_ARM64", "")
    if not folder or shutil.which("qemu-aarch64-static") is None:
        pytest.skip("no aarch64 Python: .ci/arm64-python setup DIR makes one; then set BITLADDER_ARM64=DIR")
    return ["env", f"QEMU_CPU={processor}", str(ROOT / ".ci" / "arm64-python"), "run", folder]


@pytest.mark.parametrize("processor", PROCESSORS)
def test_every_engine_of_an_arm_processor_is_exact(processor: str, made: Make, tmp_path: Path) -> None:
    command, folder, given = python(processor), made(PRECISIONS[0]), inputs(rows=3)
    np.savez(tmp_path / "ids.npz", **given)
    paths = [str(folder), str(tmp_path / "ids.npz"), str(tmp_path / "out.npz")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}
    script = str(ROOT / "tests" / "kernels" / "arm_products.py")
    done = subprocess.run([*command, script, *paths], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == PROCESSORS[processor].split()
    wanted = runtime.load(folder).logits(**given)
    for logits in np.load(tmp_path / "out.npz").values():
        np.testing.assert_array_equal(logits, wanted)
