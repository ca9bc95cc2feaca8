"""For every test: the same examples and the same drawn numbers, on every machine and in whatever order."""

import signal
import sys

import pytest
from hypothesis import settings

# No time limit on an example: the first one imports torch.
settings.register_profile("bitladder", deadline=None, derandomize=True)
settings.load_profile("bitladder")

# A shell's background jobs ignore Ctrl-C and so do their children: tests of Ctrl-C would wait for nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Seed torch's global generator where a test has it; hypothesis sees to python's and numpy's."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
