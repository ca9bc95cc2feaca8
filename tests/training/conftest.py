"""One ladder trained on a made-up CoLA for all tests that only look at it."""

import shutil
from contextlib import chdir
from pathlib import Path

import ladder_project
import pytest

from pipeline.params import Params
from pipeline.params_file import load

RUNGS = ("w1", "w1a8", "w1a4", "w1a1", "w1a1_random")


@pytest.fixture(scope="session")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("climbed")
    with chdir(root):
        ladder_project.climb(ladder_project.make("cola"), *RUNGS)
    return root


@pytest.fixture
def ladder(climbed: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The trained ladder as the working directory. For looking only."""
    monkeypatch.chdir(climbed)
    return load(Path("params.yaml"))


@pytest.fixture
def own_ladder(climbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A copy of it that a test may change and train on."""
    root = shutil.copytree(climbed, tmp_path / "project")
    monkeypatch.chdir(root)
    return load(Path("params.yaml"))
