"""The same through a real `mlflow server`, up to and after its death."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ladder_on_disk import Project

from pipeline.stages import register
from pipeline.tracking import commands, store
from pipeline.tracking.criteria import Criteria

pytestmark = pytest.mark.slow
START_SECONDS = 120


def wait_until_healthy(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended while starting"
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1).close()  # noqa: S310 - our own loopback server
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"no answer from {url} within {START_SECONDS} s")


@pytest.fixture
def server(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Process group of a server that MLFLOW_TRACKING_URI points to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{shutil.copy(empty_store, tmp_path)}"]
    command += ["--artifacts-destination", str(tmp_path / "kept")]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    started = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until_healthy(url, started)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        yield started.pid
    finally:
        end(started.pid)
        started.wait()


def end(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def test_a_server_is_filled_once_and_asked_for_lineage_and_the_best(
    bare_project: Project,
    server: int,
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

    end(server)
    started = time.monotonic()
    with pytest.raises(store.StoreUnreachableError):
        commands.best(Criteria(), as_json=True)
    assert time.monotonic() - started < 10


def test_a_server_that_dies_while_publishing_costs_seconds(
    bare_project: Project, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = register.publish

    def dies_first(*arguments: object) -> object:
        end(server)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(register, "publish", dies_first)
    started = time.monotonic()
    with pytest.raises(store.StoreUnreachableError) as failed:
        register.run(bare_project.params)
    assert time.monotonic() - started < 30
    assert "\n" not in str(failed.value)
