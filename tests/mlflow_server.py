"""A real `mlflow server` on loopback that a test may kill and start again on the same port and database."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

START_SECONDS = 120
QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


class MlflowServer:
    """Keeps its database and artifacts in `home`; `url` stays the same over restarts."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database, self.artifacts = f"sqlite:///{home / 'mlflow.db'}", str(home / "kept")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", self.database]
        command += ["--artifacts-destination", self.artifacts]
        self.process = subprocess.Popen(
            command,
            cwd=self.home,
            env={**os.environ, **QUIET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_until_healthy(self.process)

    def kill(self) -> None:
        """As by `kill -9`, all its processes at once. One that is gone already is fine."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _wait_until_healthy(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, "the server ended while starting"
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()  # noqa: S310 - our own
                return
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"no answer from {self.url} within {START_SECONDS} s")
