"""A small packed model, made once."""

from pathlib import Path

import packed_models
import pytest

from bitladder.quantizers.precision import Precision


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of three classes, W1A8, that kernels run where there are some."""
    return packed_models.make(tmp_path_factory.mktemp("served"), Precision(1, 1, 8))
