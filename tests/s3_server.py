"""S3 on loopback, as moto plays it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "canary-key",
    "AWS_SECRET_ACCESS_KEY": "canary-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def started(*buckets: str) -> Iterator[str]:
    """URL of a server with these empty buckets."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}
    )
    try:
        _wait(url, server)
        for bucket in buckets:
            request = urllib.request.Request(f"{url}/{bucket}", method="PUT")  # noqa: S310 - our own
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        yield url
    finally:
        server.kill()
        server.wait()


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended while starting"
        with suppress(OSError):
            urllib.request.urlopen(f"{url}/moto-api/", timeout=5).close()  # noqa: S310
            return
        time.sleep(0.2)
    raise AssertionError(f"no answer from {url}")
