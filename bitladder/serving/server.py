"""`bitladder serve DIR`: uvicorn, until Ctrl-C or SIGTERM; requests that came before are answered."""

import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from bitladder import predict
from bitladder.serving import app
from bitladder.serving.limits import Limits

DRAIN_SECONDS = 30
WARMING = "warming up"


class AddressError(OSError, ValueError):
    """--host and --port name no address to listen on."""

    exit_code = 2


class _WithoutTraceback(logging.Filter):
    """A failure is one line in the log; its traceback is for --debug."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and (error := record.exc_info[1]) is not None:
            said = " ".join(str(error).split())
            record.msg, record.args = f"{type(error).__name__}: {said}", None
        record.exc_info = record.exc_text = None
        return True


def main(folder: Path, host: str, port: int, limits: Limits) -> int:
    """Serve until told to stop.

    Raises as `bitladder.load` does, and AddressError.
    """
    model = predict.load(folder)
    # Compiled, read and put in order before the first request, which should not wait for it.
    model(WARMING, None if model.config.num_texts != 2 else WARMING)
    listening = _listen(host, port)
    config = uvicorn.Config(
        app.build(model, limits),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    if os.environ.get("BITLADDER_DEBUG") != "1":
        logging.getLogger("uvicorn.error").addFilter(_WithoutTraceback())
    shown = f"[{host}]" if ":" in host else host
    sys.stderr.write(
        f"bitladder: {folder} ({model.engine.engine}) at http://{shown}:{listening.getsockname()[1]}/ ; "
        "Ctrl-C stops it\n"
    )
    # uvicorn drains, then sends itself the signal again: being told to stop is no failure.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise AddressError(f"--host {host} --port {port}: {error.strerror}; choose another") from None
    # Accepted connections inherit it, and asyncio does not set it on those of such a socket. Without it an
    # answer's body waits 40 ms for the acknowledgement of its headers.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
