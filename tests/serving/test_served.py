"""A real `bitladder serve` process on a real packed folder: it answers, refuses, drains, without torch."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from with_kernels import has_kernels

import bitladder

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    command = [sys.executable, "-m", "bitladder.cli", "serve", str(folder), "--port", "0", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert found, said + process.stderr.read()
            yield found[0], process
        finally:
            process.kill()


def ask(url: str, value: Any) -> Any:
    request = urllib.request.Request(f"{url}/predict", json.dumps(value).encode())  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        return json.load(response)


def test_many_clients_have_their_own_answers_and_sigterm_ends_it_in_peace(folder: Path) -> None:
    model = bitladder.load(folder)
    texts = [f"the {size} {noun}" for size in ("big", "small", "old") for noun in ("dog", "cat", "fish")] * 8
    with serving(folder) as (url, process), ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: ask(url, text), texts))
        assert answers == [model(text) for text in texts]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_sigterm_lets_a_request_finish_that_has_come(folder: Path) -> None:
    """It waits a second for others to be computed with, and the signal comes meanwhile."""
    with serving(folder, "--wait-ms", "1000") as (url, process), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, url, "the dog")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert answer.result() == bitladder.load(folder)("the dog")
        assert process.wait(30) == 0
        with pytest.raises(urllib.error.URLError):
            ask(url, "late")


def test_who_sends_too_much_is_told_so(folder: Path) -> None:
    with serving(folder, "--max-kib", "1") as (url, _):
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(url, "a" * 5000)
        assert (caught.value.code, json.load(caught.value)) == (
            413,
            {"detail": "the body is larger than 1024 bytes"},
        )


def test_an_address_that_is_taken_is_one_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "bitladder.cli", "serve", str(folder), "--port", port]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"bitladder: --host 127.0.0.1 --port {port}: Address already in use")
    assert len(done.stderr.splitlines()) == 1


@has_kernels
def test_no_torch_is_imported(folder: Path) -> None:
    code = (
        "import sys, bitladder; from bitladder.serving import app, server\n"
        "from bitladder.serving.limits import Limits\n"
        "app.build(bitladder.load(sys.argv[1]), Limits())\n"
        "print(sorted({'torch', 'transformers', 'pandas', 'mlflow'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
