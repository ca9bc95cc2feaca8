"""A tiny trained rung and its packed folder, and packed folders that kernels run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from packed_models import Make, make
from tiny_rung import save_rung

from bitladder import files
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Path]:
    """Make a trained rung's folder: `trained(Precision(...), **options of save_rung)`."""

    def make(precision: Precision, **options: int) -> Path:
        with files.publish(tmp_path / "trained") as folder:
            save_rung(folder, precision, **options)
        return tmp_path / "trained"

    return make


@pytest.fixture
def packed(trained: Callable[..., Path], tmp_path: Path) -> Path:
    """A published packed folder, W1A8."""
    with files.publish(tmp_path / "packed") as folder:
        pack(trained(Precision(1, 1, 8)), folder)
    return tmp_path / "packed"


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Make a packed folder: `made(precision, answering=False, **sizes)`."""
    return partial(make, tmp_path)
