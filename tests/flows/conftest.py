"""A scratch project per test, and one Prefect server for the session."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import scratch_project
from scratch_project import ROOT, Scratch

from flows import environment, servers


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scratch")
    scratch_project.make(root)
    return root


@pytest.fixture
def scratch(made_once: Path, tmp_path: Path) -> Iterator[Scratch]:
    """A project of the test's own; what it started is gone afterwards."""
    root = shutil.copytree(made_once, tmp_path / "project", symlinks=True)
    project = Scratch(root)
    yield project
    project.clean_up()


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real Prefect API, started as `bitladder run` starts its own."""
    home = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PYTHONPATH", str(ROOT))
        for name, value in environment.SILENT.items():
            patch.setenv(name, value)
        with contextlib.chdir(home):
            url = stack.enter_context(servers.prefect_for_a_run())
        yield url
