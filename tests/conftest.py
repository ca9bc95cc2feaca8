"""For every test: the same examples and the same drawn numbers, on every machine and in whatever order."""

import signal
import sys
from pathlib import Path

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test of the fault matrix has its tier as a mark: fast, full or soak."""
    from matrix import ROWS

    proves = {test for row in ROWS.values() for test in row.tests}
    for item in items:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        if f"{path}::{item.name.partition('[')[0]}" in proves and "soak" not in item.keywords:
            item.add_marker("full" if "slow" in item.keywords else "fast")
