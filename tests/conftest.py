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
def _short_reports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No report bundles the library that draws its charts, nor times models: each takes seconds. But where a
    test says that it looks at just that.
    """
    if "whole_report" not in request.keywords:
        monkeypatch.setattr("pipeline.reporting.charts.library", lambda: "")
        monkeypatch.setattr("pipeline.reporting.speed.of_now", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Seed torch's global generator where a test has it; hypothesis sees to python's and numpy's."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
