"""NAME@champion is the packed folder that was registered, whole, and served by MLflow and by ourselves."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from ladder_on_disk import ROOT, Project
from test_served_model import pack_a_real_model

import bitladder
from bitladder import files
from pipeline.stages import register
from pipeline.tracking import delivered, store

TEXTS = ["the dog sees a cat .", "a fish hears"]


def test_the_champion_is_the_registered_folder_and_is_kept(registered_project: Project) -> None:
    folder = delivered.folder("bitladder-demo@champion")
    assert files.verify(folder) == files.verify(Path("packed/w1"))  # the best of those with 1-bit weights
    before = (folder / files.WEIGHTS).stat().st_ino
    assert delivered.folder("bitladder-demo@champion") == folder
    assert (folder / files.WEIGHTS).stat().st_ino == before


def test_a_kept_folder_that_was_changed_is_fetched_again(registered_project: Project) -> None:
    folder = delivered.folder("bitladder-demo@champion")
    (folder / files.WEIGHTS).write_bytes(b"changed")
    assert delivered.folder("bitladder-demo@champion") == folder
    assert files.verify(folder) == files.verify(Path("packed/w1"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing@champion", "nothing: no such registered model; known: bitladder-demo"),
        ("bitladder-demo@best", "no version has the alias 'best'; known: champion"),
    ],
)
def test_a_name_that_is_not_there_is_refused_with_those_that_are(
    registered_project: Project, name: str, said: str
) -> None:
    with pytest.raises(delivered.NotRegisteredError, match=said) as caught:
        delivered.folder(name)
    assert caught.value.exit_code == 2


@pytest.mark.slow
def test_mlflow_serves_the_champion_over_http(project: Project, tmp_path: Path) -> None:
    """`mlflow models serve`, as a user starts it: in the environment that is there."""
    folder = pack_a_real_model(project, "w1", hidden_size=64, intermediate_size=128)
    register.run(project.params)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--model-uri", "models:/bitladder-demo@champion", "--port", str(port)]
    own = {"MLFLOW_TRACKING_URI": store.locate().uri, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "true"}
    own |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = tmp_path / "mlflow.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **own}, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}/ping", process, log)
        body = json.dumps({"dataframe_records": [{"sentence": text} for text in TEXTS]}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            found = json.load(response)["predictions"]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    model = bitladder.load(folder)
    for text, answer in zip(TEXTS, found, strict=True):
        assert answer["label"] == model(text)["label"]
        assert answer["score"] == pytest.approx(model(text)["scores"][answer["label"]], abs=1e-5)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - our own
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())
