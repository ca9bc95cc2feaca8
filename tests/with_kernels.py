"""A mark for tests that need a processor with kernels."""

import pytest

from bitladder.runtime.kernels import engines

has_kernels = pytest.mark.skipif(
    engines.chosen("", engines.features()).engine == engines.TORCH, reason="no kernels for this processor"
)
