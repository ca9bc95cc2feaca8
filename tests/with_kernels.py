"""A mark for tests that need kernels, so a compiler for them."""

import pytest

from bitladder.runtime.kernels import engines

has_kernels = pytest.mark.skipif(not engines.running(), reason="no compiler for kernels")
