"""Which MLflow is meant, that it is created once, and that a dead one costs seconds and one sentence."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ladder_on_disk import Project

from pipeline.stages import register
from pipeline.tracking import store


def test_without_a_setting_the_store_lies_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = store.locate()
    assert found.database == tmp_path / ".bitladder/mlflow/mlflow.db"
    assert found.uri == f"sqlite:///{tmp_path}/.bitladder/mlflow/mlflow.db"
    assert found.artifacts == tmp_path / ".bitladder/mlflow/artifacts"
    assert not (tmp_path / ".bitladder").exists()


def test_a_server_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@tracking:5000/")
    found = store.locate()
    assert (found.uri, found.database, found.artifacts) == ("http://me:secret@tracking:5000", None, None)
    assert found.shown == "http://tracking:5000"


@pytest.mark.parametrize(
    "uri", ["file:./mlruns", "./mlruns", "sqlite://", "postgresql://u:hush@db/x", "ftp://x"]
)
def test_other_addresses_are_refused_with_what_would_do(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(store.StoreUriError, match=r"MLFLOW_TRACKING_URI: .* allowed: sqlite:///") as refused:
        store.locate()
    assert "hush" not in str(refused.value)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_dead_server_costs_seconds_and_one_sentence(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    with pytest.raises(store.StoreUnreachableError, match="Connection refused") as failed:
        register.run(bare_project.params)
    assert time.monotonic() - started < 5
    assert failed.value.exit_code == 3
    assert "\n" not in str(failed.value)


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(store.StoreUnreachableError, match="timed out"), store.opened(store.locate()):
            pass


def test_a_database_that_is_none_is_told_in_one_sentence(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = bare_project.root / "other.db"
    database.write_text("not SQLite, by any means" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    with pytest.raises(store.StoreUnreachableError, match="not a database"):
        register.run(bare_project.params)


def test_a_second_publisher_waits_and_then_says_busy(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    busy = pytest.raises(store.StoreBusyError, match="another process")
    with store.locked(lock), busy, store.locked(lock, 0.1):
        pass
    with store.locked(tmp_path / "lock", 0.1):
        pass


def test_opening_a_store_leaves_the_environment_of_children_alone(project: Project) -> None:
    with store.opened(store.locate()):
        assert "MLFLOW_TRACKING_URI" not in os.environ
        assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.slow
def test_four_processes_that_meet_a_missing_store_make_one(tmp_path: Path) -> None:
    code = (
        "from pipeline.tracking import store\nwith store.opened(store.locate()) as c: c.search_experiments()"
    )
    root = Path(store.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    errors = [process.communicate(timeout=120)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 4, errors
    assert [path.name for path in (tmp_path / ".bitladder/mlflow").glob("*mlflow.db*")] == ["mlflow.db"]
