"""A small DVC project: the real flows and params around stages that write a file and say what they saw.

What a stage does beyond that is asked for in behaviour/<stage>.json: `seconds` to sleep, `error` to raise.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]

STAGE = """
import json, logging, os, sys, time
from pathlib import Path

from bitladder.files import IntegrityError

ERRORS = {
    "value": ValueError("weights.w8.bits: 3"),
    "integrity": IntegrityError("models/teacher: no manifest"),
    "bug": KeyError("w8"),
}


def run(params, rung):
    name = __name__.rpartition(".")[2]
    address = f"{name}@{rung}" if rung else name
    asked = Path("behaviour", f"{address}.json")
    behaviour = json.loads(asked.read_text()) if asked.exists() else {}
    with open("calls.log", "a") as log:
        log.write(f"{address} {os.getpid()}\\n")
    seen = {"prefect": "prefect" in sys.modules, "rung": rung, "environment": dict(os.environ)}
    Path(f"seen-{address}.json").write_text(json.dumps(seen))
    logging.getLogger(__name__).info("%s: at work", address)
    time.sleep(behaviour.get("seconds", 0))
    if "error" in behaviour:
        raise ERRORS[behaviour["error"]]
    output = Path("made", rung or name)
    output.parent.mkdir(exist_ok=True)
    output.write_text(f"{address} of seed {params.seed}\\n")
    with open("ends.log", "a") as log:
        log.write(f"{address}\\n")
"""

DVC_YAML = """
stages:
  prepare:
    cmd: python -m flows.stage prepare
    params: [seed]
    outs: [made/prepare]
  weights:
    foreach: {w8: prepare, w4: w8, w2: prepare}
    do:
      cmd: python -m flows.stage weights
      deps:
      - made/${item}
      outs:
      - made/${key}
"""
STAGES = ["prepare", "weights@w8", "weights@w4", "weights@w2"]


def make(root: Path) -> None:
    """Fill `root`: the repository's own code by links, its params.yaml, and stages of our own."""
    (root / "flows").symlink_to(ROOT / "flows")
    (root / "bitladder").symlink_to(ROOT / "bitladder")
    (root / "pipeline" / "stages").mkdir(parents=True)
    for part in (ROOT / "pipeline").iterdir():
        if part.name not in ("stages", "__pycache__"):
            (root / "pipeline" / part.name).symlink_to(part)
    for name in ("prepare", "weights"):
        (root / "pipeline" / "stages" / f"{name}.py").write_text(STAGE)
    (root / "dvc.yaml").write_text(DVC_YAML)
    shutil.copy(ROOT / "params.yaml", root)
    environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(root / "site")}
    command = [sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"]
    subprocess.run(command, cwd=root, env=environment, check=True)


class Scratch:
    """One such project, in the folder `root`, and the processes started in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            **{
                name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "DVC_"))
            },
            "DVC_SITE_CACHE_DIR": str(root / "site"),
            "DVC_NO_ANALYTICS": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "SHELL": "/bin/sh",
        }
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *module: str, **environment: str) -> "subprocess.Popen[str]":
        """`python -m MODULE ...` in the project, in a group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=self.root,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self.started.append(process)
        return process

    def run(self, *module: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(*module, **environment)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def behave(self, stage: str, **behaviour: Any) -> None:
        (self.root / "behaviour").mkdir(exist_ok=True)
        (self.root / "behaviour" / f"{stage}.json").write_text(json.dumps(behaviour))

    def seen(self, stage: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / f"seen-{stage}.json").read_text())
        return found

    def calls(self) -> list[str]:
        """The stages whose work has begun, in that order."""
        return [line.split()[0] for line in self._lines("calls.log")]

    def pid(self, stage: str) -> int:
        """Wait until the stage is at work; its process."""
        last = self.started[-1]
        until(lambda: stage in self.calls() or last.poll() is not None, f"{stage} at work")
        assert stage in self.calls(), last.communicate()
        return next(int(line.split()[1]) for line in self._lines("calls.log") if line.split()[0] == stage)

    def ends(self) -> list[str]:
        return self._lines("ends.log")

    def forget(self) -> None:
        for name in ("calls.log", "ends.log"):
            (self.root / name).unlink(missing_ok=True)

    def clean_up(self) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.communicate()

    def _lines(self, name: str) -> list[str]:
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """What Prefect's API answers to GET, or to POST of `body`."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def until(holds: Callable[[], bool], what: str, within_s: float = 60) -> float:
    """Wait until something holds; return how many seconds that took."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - start


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextlib.contextmanager
def mortal(port: int) -> Iterator[tuple[int, Callable[[], None]]]:
    """Another port to the same server, and a function after which nothing answers there any more."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_sockets = [listener]

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                open_sockets.extend([near, far])
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, target), daemon=True).start()

    def die() -> None:
        for each in open_sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], die
    finally:
        die()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
