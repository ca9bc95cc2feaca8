"""The same through a real `mlflow server`, up to and after its death."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ladder_on_disk import Project
from mlflow_server import MlflowServer

from pipeline.stages import register
from pipeline.tracking import commands, store
from pipeline.tracking.choice import Criteria

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    """A server that MLFLOW_TRACKING_URI points to."""
    shutil.copy(empty_store, tmp_path)
    started = MlflowServer(tmp_path)
    try:
        started.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", started.url)
        yield started
    finally:
        started.kill()


def test_a_server_is_filled_once_and_asked_for_lineage_and_the_best(
    bare_project: Project,
    server: MlflowServer,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register.run(bare_project.params)
    assert "6 runs new, 0 unchanged; 4 versions new" in capsys.readouterr().out
    register.run(bare_project.params)
    assert "0 runs new, 6 unchanged; 0 versions new, 4 unchanged" in capsys.readouterr().out
    assert commands.lineage("w1a8", as_json=True) == 0
    chain = json.loads(capsys.readouterr().out)["chain"]
    assert [step["name"] for step in chain] == ["w1a8", "w1", "w8", "teacher", "pretrained"]
    assert commands.best(Criteria(activation_bits=8), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["rung"] == "w1a8"
    assert len([*(tmp_path / "kept").rglob("model.safetensors")]) == 4
    assert not (bare_project.root / store.HOME / "mlflow.db").exists()

    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
        with pytest.raises(store.StoreUnreachableError, match="made through an MLflow server"):
            register.run(bare_project.params)

    server.kill()
    started = time.monotonic()
    with pytest.raises(store.StoreUnreachableError):
        commands.best(Criteria(), as_json=True)
    assert time.monotonic() - started < 10


def test_a_server_that_dies_while_publishing_costs_seconds(
    bare_project: Project, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = register.publish

    def dies_first(*arguments: object) -> object:
        server.kill()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(register, "publish", dies_first)
    started = time.monotonic()
    with pytest.raises(store.StoreUnreachableError) as failed:
        register.run(bare_project.params)
    assert time.monotonic() - started < 30
    assert "\n" not in str(failed.value)
