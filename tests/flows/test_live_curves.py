"""A curve is seen while its stage trains, and no state of the server is felt by the stage."""

import csv
import json
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from mlflow_server import MlflowServer
from scratch_project import ROOT, Scratch, until

from flows import live_curves, servers
from pipeline import params_file
from pipeline.tracking import store
from pipeline.training import live

ADDRESS = "weights@w8"
STEP_S = 0.02
NUM_STEPS = 60
TRAINING = f"""
import hashlib, json, time
from pathlib import Path

from pipeline.training import live


def run(params, rung):
    seconds, curve = [], []
    with live.open(rung, hashlib.sha256(rung.encode()).hexdigest()) as shown:
        for step in range(1, {NUM_STEPS} + 1):
            started = time.monotonic()
            time.sleep({STEP_S})
            if step % 5 == 0:
                loss, score = 1 / (3 + step), step / 100 if step % 10 == 0 else None
                shown.point(step, loss=loss, score=score)
                curve.append(f"{{step}},{{loss:.6g}}," + ("" if score is None else f"{{score:.6g}}"))
            seconds.append(time.monotonic() - started)
            Path("reached").write_text(str(step))
            while step == {NUM_STEPS} // 2 and Path("pause").exists():
                time.sleep(0.01)
    Path("curve.csv").write_text("\\n".join(["step,loss,score", *curve, ""]))
    Path("seconds.json").write_text(json.dumps(seconds))
"""


class Training:
    """The scratch project with a stage that trains for a second, and waits half-way while `pause` exists."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch, self.root = scratch, scratch.root
        (self.root / "pipeline" / "stages" / "weights.py").write_text(TRAINING)
        self.pause = self.root / "pause"

    def start(self, **environment: str) -> "subprocess.Popen[str]":
        """Start the stage and wait until it is in the middle, where it stays."""
        self.pause.touch()
        (self.root / "reached").unlink(missing_ok=True)
        process = self.scratch.start("flows.stage", "weights", "w8", **environment)
        until(lambda: self.reached() == NUM_STEPS // 2, "the middle of the training")
        return process

    def go_on(self) -> None:
        self.pause.unlink()

    def end(self, process: "subprocess.Popen[str]", **environment: str) -> None:
        """Let the stage end, and deliver what a busy machine left no time for."""
        self.go_on()
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert self.sync(**environment).returncode == 0

    def run(self, **environment: str) -> "subprocess.CompletedProcess[str]":
        return self.scratch.run("flows.stage", "weights", "w8", **environment)

    def sync(self, **environment: str) -> "subprocess.CompletedProcess[str]":
        return self.scratch.run("bitladder.cli", "sync", "--json", **environment)

    def reached(self) -> int:
        path = self.root / "reached"
        return int((path.exists() and path.read_text()) or 0)

    def seconds(self) -> list[float]:
        found: list[float] = json.loads((self.root / "seconds.json").read_text())
        return found

    def spooled(self) -> list[Path]:
        return [*(self.root / ".bitladder" / "spool").glob("*/*.json")]

    def curve(self) -> dict[str, list[tuple[int, float]]]:
        """What the training wrote of itself, as MLflow should have it."""
        rows = list(csv.DictReader((self.root / "curve.csv").open()))
        return {
            f"training/{name}": [(int(row["step"]), float(row[name])) for row in rows if row[name]]
            for name in ("loss", "score")
        }

    def deliverers(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _delivers_in(process, self.root)]


def _delivers_in(process: psutil.Process, root: Path) -> bool:
    try:
        return "flows.live_curves" in process.cmdline() and Path(process.cwd()) == root.resolve()
    except psutil.Error:
        return False


@pytest.fixture
def training(scratch: Scratch) -> Iterator[Training]:
    training = Training(scratch)
    yield training
    until(lambda: training.deliverers() == [], "no deliverer is left", within_s=10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    started = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    try:
        started.start()
        yield started
    finally:
        started.kill()


def live_run(uri: str) -> tuple[str, dict[str, list[tuple[int, float]]]]:
    """Status and curve of the newest run, each value as often as MLflow has it."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("bitladder/demo")
    runs = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"]) if experiment else []
    if not runs:
        return "", {}
    history = {
        key: [(point.step, point.value) for point in client.get_metric_history(runs[0].info.run_id, key)]
        for key in ("training/loss", "training/score")
    }
    return runs[0].info.status, {key: sorted(points) for key, points in history.items()}


def test_where_nobody_watches_nothing_is_spooled_or_started(training: Training) -> None:
    process = training.start()
    assert training.deliverers() == []
    training.go_on()
    assert process.wait(20) == 0
    assert training.spooled() == []


def test_an_address_that_mlflow_cannot_use_costs_one_line(training: Training) -> None:
    ended = training.run(MLFLOW_TRACKING_URI="databricks")
    assert ended.returncode == 0
    assert ended.stderr.count("not shown live") == 1


def test_only_a_stage_that_trains_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(live_curves, "_start", shown.append)
    made = params_file.load(ROOT / "params.yaml")
    copied = made.model_copy(update={"model": made.model.model_copy(update={"source": "package"})})
    for settings, stage in ((made, "prepare"), (made, "pack"), (copied, "pretrained")):
        with live_curves.shown(settings, stage):
            assert shown == []
    for settings, stage in ((made, "pretrained"), (copied, "weights")):
        with live_curves.shown(settings, stage):
            assert shown.pop() == "demo"


def test_what_cannot_be_delivered_is_told_without_the_password_and_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(live.SPOOL, str((live.HOME / "demo").absolute()))
    with live.open("w1", "0" * 64) as curve:
        curve.point(1, loss=0.5, score=None)
    said = live_curves.deliver(store.Store("http://someone:secret@127.0.0.1:1"))
    assert "127.0.0.1:1" in said
    assert "secret" not in said
    assert len(live.curves()) == 1


@pytest.mark.slow
def test_a_server_that_is_not_there_costs_the_stage_a_moment_at_its_end(training: Training) -> None:
    started = time.monotonic()
    ended = training.run(MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert ended.returncode == 0
    assert max(training.seconds()) < 1
    assert "deliver it with: bitladder sync" in ended.stderr
    assert time.monotonic() - started < 15
    assert training.sync(MLFLOW_TRACKING_URI="http://127.0.0.1:1").returncode == 3
    assert len(training.spooled()) == 1


@contextmanager
def silent_server() -> Iterator[str]:
    """It accepts, and never answers."""
    open_sockets = [socket.create_server(("127.0.0.1", 0))]

    def accept() -> None:
        try:
            while True:
                open_sockets.append(open_sockets[0].accept()[0])
        except OSError:
            return

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{open_sockets[0].getsockname()[1]}"
    finally:
        for each in open_sockets:
            each.close()


@pytest.mark.slow
def test_a_server_that_never_answers_is_not_felt(training: Training) -> None:
    with silent_server() as url:
        ended = training.run(MLFLOW_TRACKING_URI=url)
        left = until(lambda: training.deliverers() == [], "the deliverer has ended", within_s=10)
    assert ended.returncode == 0
    assert max(training.seconds()) < 1
    assert left < 6
    assert len(training.spooled()) == 1


@pytest.mark.slow
def test_a_curve_is_seen_while_its_stage_trains(training: Training, server: MlflowServer) -> None:
    process = training.start(MLFLOW_TRACKING_URI=server.url)
    half = list(range(5, NUM_STEPS // 2 + 1, 5))

    def seen() -> bool:
        status, curve = live_run(server.url)
        return status == "RUNNING" and [step for step, _ in curve["training/loss"]] == half

    until(seen, "the first half of the curve is in MLflow")
    assert process.poll() is None
    training.end(process, MLFLOW_TRACKING_URI=server.url)
    assert live_run(server.url) == ("FINISHED", training.curve())


@pytest.mark.slow
def test_a_server_killed_in_between_costs_nothing_and_sync_delivers_each_point_once(
    training: Training, server: MlflowServer
) -> None:
    process = training.start(MLFLOW_TRACKING_URI=server.url)
    until(lambda: live_run(server.url)[0] == "RUNNING", "the run is in MLflow")
    server.kill()
    training.go_on()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "bitladder sync" in said
    assert max(training.seconds()) < 1
    assert training.sync(MLFLOW_TRACKING_URI=server.url).returncode == 3

    server.start()
    first, second = (training.sync(MLFLOW_TRACKING_URI=server.url) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    (delivered,) = json.loads(first.stdout)["curves"]
    assert delivered["delivered"] + delivered["already_there"] == NUM_STEPS // 5
    assert delivered["delivered"] >= NUM_STEPS // 10
    assert json.loads(second.stdout)["delivered"] == 0
    assert live_run(server.url) == ("FINISHED", training.curve())
    assert training.spooled() == []


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_stage_that_is_killed_is_killed_in_mlflow_and_goes_on_in_the_same_run(
    training: Training, server: MlflowServer, sent: signal.Signals
) -> None:
    process = training.start(MLFLOW_TRACKING_URI=server.url)
    until(lambda: live_run(server.url)[0] == "RUNNING", "the run is in MLflow")
    process.send_signal(sent)
    process.communicate(timeout=20)
    until(lambda: training.deliverers() == [], "the deliverer has ended", within_s=10)
    training.sync(MLFLOW_TRACKING_URI=server.url)  # on a busy machine it may have had no time
    assert live_run(server.url)[0] == "KILLED"
    resumed = training.start(MLFLOW_TRACKING_URI=server.url)
    until(lambda: live_run(server.url)[0] == "RUNNING", "it runs again")
    training.end(resumed, MLFLOW_TRACKING_URI=server.url)
    assert live_run(server.url) == ("FINISHED", training.curve())


@pytest.mark.slow
def test_where_up_shows_the_projects_own_store_the_curve_grows_there(training: Training) -> None:
    """Only the ports matter to the stage, so something else listens on them here."""
    ours = secrets.token_hex(8)
    ports = [servers.free_port() for _ in range(2)]
    log = training.root / "listening.log"
    try:
        for port in ports:
            servers.start(ours, ["http.server", "--bind", "127.0.0.1", str(port)], {}, log, detached=True)
        until(lambda: all(servers.listens(ours, port) for port in ports), "both listen", within_s=20)
        known = [
            {"name": n, "url": "", "port": p, "pid": 1}
            for n, p in zip(["prefect", "mlflow"], ports, strict=True)
        ]
        state = training.root / ".bitladder" / "servers.json"
        state.parent.mkdir(exist_ok=True)
        state.write_text(json.dumps({"id": ours, "servers": known}))
        process = training.start()
        database = training.root / ".bitladder" / "mlflow" / "mlflow.db"
        until(lambda: database.exists() and live_run(f"sqlite:///{database}")[0] == "RUNNING", "it is shown")
        training.end(process)
        assert live_run(f"sqlite:///{database}") == ("FINISHED", training.curve())
    finally:
        servers.stop(ours)
