"""Servers are found again, told from strangers, and stopped with nothing left and nobody else touched."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from scratch_project import ROOT, gone, until

from flows import servers

ANSWERING = ["http.server", "--bind", "127.0.0.1"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_processes_are_known_by_their_id_alone(tmp_path: Path) -> None:
    ours, port = secrets.token_hex(8), servers.free_port()
    pid = servers.start(ours, [*ANSWERING, str(port)], {}, tmp_path / "log", detached=True)
    try:
        until(lambda: servers.listens(ours, port), "it listens", within_s=10)
        assert [process.pid for process in servers.members(ours)] == [pid]
        assert not servers.listens(secrets.token_hex(8), port)
    finally:
        assert servers.stop(ours) == 1
    assert gone(pid)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_is_not_detached_dies_with_whoever_started_it(
    tmp_path: Path, sent: signal.Signals
) -> None:
    ours, port = secrets.token_hex(8), servers.free_port()
    code = f"""if True:
        import time
        from pathlib import Path
        from flows import servers
        servers.start("{ours}", {[*ANSWERING, str(port)]}, {{}}, Path("log"), detached=False)
        time.sleep(60)
    """
    starter = subprocess.Popen([sys.executable, "-c", code])
    until(lambda: servers.listens(ours, port), "it listens", within_s=10)
    starter.send_signal(sent)
    starter.wait()
    until(lambda: not servers.members(ours), "it has ended", within_s=5)


def test_down_leaves_a_process_alone_that_was_given_the_pid(
    bystander: subprocess.Popen[bytes],
) -> None:
    remembered = {"name": "prefect", "url": "http://127.0.0.1:1", "port": 1, "pid": bystander.pid}
    servers.STATE.parent.mkdir()
    servers.STATE.write_text(json.dumps({"id": secrets.token_hex(8), "servers": [remembered]}))
    assert servers.running() is None
    assert "had ended already" in servers.down()
    assert bystander.poll() is None
    assert not servers.STATE.exists()


def test_down_without_up_is_no_failure() -> None:
    assert "No servers" in servers.down()


def test_a_state_file_of_another_make_is_named_and_kept() -> None:
    servers.STATE.parent.mkdir()
    servers.STATE.write_text("[]")
    with pytest.raises(servers.StateError, match=str(servers.STATE)):
        servers.down()
    assert servers.STATE.read_text() == "[]"


def test_a_named_server_that_does_not_answer_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with pytest.raises(ConnectionError, match=r"http://127\.0\.0\.1:1/api"), servers.prefect_for_a_run():
        pass


def test_a_folders_ports_are_the_same_each_time_and_give_way_to_who_has_them() -> None:
    usual = servers.usual_port("mlflow")
    assert usual == servers.usual_port("mlflow") != servers.usual_port("prefect")
    assert servers.PORTS[0] <= usual < servers.PORTS[1]
    assert servers.port_for("mlflow") == usual
    assert servers.address("mlflow") == f"http://127.0.0.1:{usual}"
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", usual))
        stranger.listen()
        assert servers.port_for("mlflow") != usual


def test_a_run_waits_until_the_server_has_written_all_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[{"id": "a-run"}], 1, 3, 4])
    monkeypatch.setattr(servers, "_asked", lambda url, wanted: next(answers))
    servers.let_it_write("http://there/api", 4)
    assert next(answers, "asked no more") == "asked no more"


@pytest.mark.parametrize("answered", [[None], [[]], [[{"id": "a-run"}], None]])
def test_nobody_waits_for_a_server_that_does_not_answer(
    answered: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(answered)
    monkeypatch.setattr(servers, "_asked", lambda url, wanted: next(answers))
    servers.let_it_write("http://there/api", 4)


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_KEEPALIVE_TIMEOUT", "soon")
    with pytest.raises(servers.StartError, match="soon"), servers.prefect_for_a_run():
        pass


def status(url: str, host: str) -> int:
    request = urllib.request.Request(url, headers={"Host": host})  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


@pytest.mark.slow
def test_up_twice_starts_once_and_down_leaves_nothing() -> None:
    try:
        said = servers.up()
        found = servers.running()
        assert found is not None
        prefect, mlflow = found.server("prefect"), found.server("mlflow")
        assert said.count("127.0.0.1") == 3  # the two pages, and Prefect's API for `dvc repro`
        assert f"PREFECT_API_URL={prefect.url}/api is set" in said
        assert servers.STATE.stat().st_mode & 0o077 == 0

        assert servers.up().startswith("Already running")
        assert servers.running() == found

        with servers.prefect_for_a_run() as url:
            assert url == f"{prefect.url}/api"
        page = urllib.request.urlopen(f"{prefect.url}/ui-settings").read()  # noqa: S310
        assert json.loads(page)["api_url"] == url
        assert status(mlflow.url, f"127.0.0.1:{mlflow.port}") == 200
        assert status(mlflow.url, "elsewhere.example") == 403

        os.kill(mlflow.pid, signal.SIGKILL)  # one of the two is lost: what is left of it is not "running"
        until(lambda: servers.running() is None or gone(mlflow.pid), "mlflow has ended")
    finally:
        servers.down()
    assert servers.members(found.id) == []
    assert gone(prefect.pid)
    assert not servers.STATE.exists()
