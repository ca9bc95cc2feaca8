"""One machine after another: two that publish at once, and one that died in its turn."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import postgres_server
import pytest
import s3_server
from ladder_on_disk import ROOT, Project
from mlflow_server import MlflowServer

from pipeline.tracking import execution, registry, store, turns
from pipeline.tracking.store import Store

PLACE = Store("http://a-server")  # whichever: the client is what is used
NAME = "bitladder-demo"


@pytest.fixture
def database(project: Project) -> Store:
    return store.locate()


def test_turns_do_not_overlap(database: Store) -> None:
    running, most, order = 0, 0, []

    def publish() -> None:
        nonlocal running, most
        with turns.taken(client, PLACE, NAME):
            running += 1
            most = max(most, running)
            time.sleep(0.02)
            running -= 1
            order.append(threading.get_ident())

    with store.opened(database) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "POLL_S", 0.01)
        threads = [threading.Thread(target=publish) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not client.search_registered_models()
    assert (len(order), most) == (3, 1)


def test_the_turn_of_a_machine_that_died_is_taken_away(
    database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SILENT_S", 0.1)
    monkeypatch.setattr(turns, "POLL_S", 0.02)
    with store.opened(database) as client:
        client.create_registered_model(f"{NAME}.turn", {turns.MARK: "the dead one"})
        with turns.taken(client, PLACE, NAME):
            pass
        assert not client.search_registered_models()


def test_a_turn_that_is_marked_is_waited_for_and_not_for_ever(
    database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("SILENT_S", 0.4), ("POLL_S", 0.02), ("BEAT_S", 0.05), ("WAIT_S", 1.0)):
        monkeypatch.setattr(turns, name, seconds)
    with (
        store.opened(database) as client,
        turns.taken(client, PLACE, NAME),
        pytest.raises(store.StoreBusyError, match="another machine"),
        turns.taken(client, PLACE, NAME),
    ):
        raise AssertionError("two at once")


REGISTER = """
from pathlib import Path
from pipeline import params_file
from pipeline.stages import register
register.run(params_file.load(Path("params.yaml")))
"""


@pytest.mark.slow
def test_two_clones_register_at_once_and_each_model_is_there_once(
    bare_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow on PostgreSQL (on SQLite without it), its artifacts in S3."""

    with postgres_server.started("mlflow") as postgres, s3_server.started("artifacts") as s3:
        for name, value in {**s3_server.CREDENTIALS, "AWS_ENDPOINT_URL": s3}.items():
            monkeypatch.setenv(name, value)
        server = MlflowServer(tmp_path)
        if postgres:
            server.database = f"postgresql+psycopg2://{postgres}/mlflow"
        server.artifacts = "s3://artifacts/mlflow"
        try:
            server.start()
            for name in s3_server.CREDENTIALS:  # the server has them, its clients need none
                monkeypatch.delenv(name)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
            other = shutil.copytree(bare_project.root, tmp_path / "other")
            both = [_register(folder) for folder in (bare_project.root, other)]
            said = [process.communicate(timeout=240) for process in both]
            assert [process.returncode for process in both] == [0, 0], said
            new = sorted(out.partition(";")[0] for out, _ in said)
            assert new == ["register: 0 runs new, 6 unchanged", "register: 6 runs new, 0 unchanged"]
            with store.opened(store.locate()) as client:
                name = execution.registered_model("demo")
                rungs = [one.rung for one in registry.candidates(client, name)]
                assert sorted(rungs) == ["w1", "w1a8", "w1a8_direct", "w8"]
                assert registry.champion(client, name) is not None
                assert [one.name for one in client.search_registered_models()] == [name]
        finally:
            server.kill()


def _register(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", REGISTER],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
