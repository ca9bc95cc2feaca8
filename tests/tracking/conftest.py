"""Projects for the tests: trained, beside an empty store, or registered; and the store itself, made once."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ladder_on_disk import LADDER, VALIDATION, Project, write_params

from bitladder import files
from pipeline import paths
from pipeline.stages import register
from pipeline.tracking import store


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole ladder, trained, packed and evaluated, and never published."""
    project = Project(tmp_path_factory.mktemp("trained"))
    write_params(project.root / "params.yaml")
    for name in LADDER:
        project.train(name)
    project.evaluate()
    data = project.root / paths.data_dir("demo", "plain")
    files.write_json(data / "manifest.json", {"files": {"validation.parquet": {"sha256": VALIDATION}}})
    return project.root


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store as MLflow makes it; copying it is quicker than making another."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    store.prepare(database)
    return database


@pytest.fixture(autouse=True)
def _no_server_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = dict(os.environ)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    for name in set(os.environ) - set(before):
        if name.startswith(("MLFLOW_", "DO_NOT_TRACK")):
            del os.environ[name]


@pytest.fixture
def bare_project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The trained ladder in the working directory, without any store."""
    root = tmp_path / "project"
    shutil.copytree(trained, root)
    monkeypatch.chdir(root)
    return Project(root)


@pytest.fixture
def project(bare_project: Project, empty_store: Path) -> Project:
    """The trained ladder in the working directory, beside an empty store."""
    home = bare_project.root / store.HOME
    home.mkdir(parents=True)
    shutil.copy(empty_store, home / "mlflow.db")
    return bare_project


@pytest.fixture(scope="session")
def registered(trained: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained ladder after `register`, published once for all the tests that only read."""
    root = tmp_path_factory.mktemp("registered") / "project"
    shutil.copytree(trained, root)
    (root / store.HOME).mkdir(parents=True)
    shutil.copy(empty_store, root / store.HOME / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(root)
        register.run(Project(root).params)
    return root


@pytest.fixture
def registered_project(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the registered ladder in the working directory; what a test does to it stays there."""
    root = tmp_path / "project"
    shutil.copytree(registered, root)
    monkeypatch.chdir(root)
    return Project(root)
