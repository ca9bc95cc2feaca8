"""A training curve while it grows: a JSON line per point, appended to a file. Nothing here can stop training.

    with live.open(name, fingerprint) as spool:     # or spool.end("FINISHED") by hand
        spool.point(step, loss=loss, score=score)

A line is a local append of a hundred bytes; no server is ever asked. Who shows the curve reads the file
(pipeline/tracking/spool.py). It is written only where BITLADDER_SPOOL names a folder for it, which is where
somebody watches; elsewhere every call does nothing. A full disk costs the live curve and one warning: the
curve that counts is the one written beside the model.

    {"start": <ms since 1970>, "name": "w1", "fingerprint": "..."}    again at every resumption
    {"step": 100, "loss": 0.5, "score": 0.9}                          score where measured
    {"end": "FINISHED", "at": <ms since 1970>}

The lock on the file tells readers that its training lives: the kernel drops it when the process ends,
however it ends. A run that was resumed goes on in the same file and may repeat steps; the last word counts.
"""

import fcntl
import io
import json
import logging
import math
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

SPOOL = "BITLADDER_SPOOL"
DIGITS_IN_NAME = 16
CLAIM_SECONDS = 1.0

Status = Literal["FINISHED", "FAILED", "KILLED"]
_log = logging.getLogger(__name__)


def open(name: str, fingerprint: str) -> "Spool":
    """The spool of one training, the same for every process that goes on with it. In one process only.

    Args:
        name: `pretrained`, `teacher` or the rung's name.
        fingerprint: hex digest of what determines the training; another one is another curve.
    """
    folder = os.environ.get(SPOOL)
    if not folder:
        return Spool(name, None)
    try:
        file = _claim(Path(folder) / f"{name}-{fingerprint[:DIGITS_IN_NAME]}.jsonl")
    except OSError as error:
        _warn(name, error)
        return Spool(name, None)
    spool = Spool(name, file)
    spool._append({"start": _now(), "name": name, "fingerprint": fingerprint})
    return spool


class Spool:
    """Takes the points of one training. `file` is unbuffered and locked; None swallows everything."""

    def __init__(self, name: str, file: io.FileIO | None) -> None:
        self.name = name
        self._file = file

    def point(self, step: int, *, loss: float, score: float | None) -> None:
        """Keep a point of the curve; numbers as curve.csv has them, so that both are one curve."""
        values = {"loss": _rounded(loss), "score": _rounded(score)}
        self._append({"step": step, **{key: value for key, value in values.items() if value is not None}})

    def end(self, status: Status) -> None:
        """Say how the training ended. A process that ends without a word was killed."""
        self._append({"end": status, "at": _now()})
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end("FINISHED")
        else:
            self.end("FAILED" if issubclass(kind, Exception) else "KILLED")

    def _append(self, value: dict[str, Any]) -> None:
        if self._file is None:
            return
        line = (json.dumps(value, allow_nan=False) + "\n").encode()
        try:
            if self._file.write(line) != len(line):
                raise OSError("only part of a line could be written")
        except OSError as error:
            _warn(self.name, error)
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()


def _claim(path: Path) -> io.FileIO:
    """The file, opened to be appended to, locked, and still the one at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + CLAIM_SECONDS
    while True:
        file = io.FileIO(path, "a+")
        try:
            # A reader that looks whether we live holds the lock for an instant.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, file):
                _begin_a_line(file)
                return file
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                file.close()
                raise BlockingIOError(f"{path}: another process writes it") from error
        file.close()
        time.sleep(0.05)


def _is_at(path: Path, file: io.FileIO) -> bool:
    """False when it was delivered and removed between opening and locking."""
    with suppress(FileNotFoundError):
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    return False


def _begin_a_line(file: io.FileIO) -> None:
    """A process that was killed while the disk was full may have left half a line."""
    if file.seek(0, os.SEEK_END) > 0:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def _now() -> int:
    return time.time_ns() // 1_000_000


def _warn(name: str, error: OSError) -> None:
    _log.warning("%s: its curve is not shown live from here on, training goes on (%s)", name, error)
