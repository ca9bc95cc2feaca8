"""A training's curve while it grows, in a file that waits for MLflow. Nothing here can stop the training.

    with live.open(name, fingerprint) as curve:
        curve.point(step, loss=loss, score=score)

The file, `.bitladder/spool/<task>/<name>-<fingerprint>.json`, is replaced at every point, of which there are
some ten; only where BITLADDER_SPOOL names its folder (flows/live_curves.py does where somebody can watch).
"""

import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, Field, ValidationError

from bitladder import files
from pipeline import paths

SPOOL = "BITLADDER_SPOOL"
HOME = paths.WORK / "spool"
Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
_log = logging.getLogger(__name__)


class Curve(BaseModel):
    """One training, as far as it has come.

    Attributes:
        pid: of the process that trains.
        started, ended: ms since 1970; `ended` is None while it runs.
        points: MLflow's metric (`training/loss`, `training/score`), step, value; the last of a step counts.
    """

    name: str
    fingerprint: str
    pid: int = 0
    started: int = Field(default_factory=lambda: int(1000 * time.time()))
    ended: int | None = None
    status: Status = "RUNNING"
    points: list[tuple[str, int, float]] = []
    _path: Path | None = None

    def point(self, step: int, *, loss: float, score: float | None) -> None:
        """Add a point; numbers as curve.csv has them, so that both are one curve. NaN is left out."""
        for metric, value in (("training/loss", loss), ("training/score", score)):
            if value is not None and math.isfinite(value):
                self.points.append((metric, step, float(f"{value:.6g}")))
        self._write()

    def end(self, status: Status) -> None:
        """Say how the training ended. One whose process ends without a word was killed."""
        self.status, self.ended = status, int(1000 * time.time())
        self._write()

    def _write(self) -> None:
        try:
            if self._path is not None:
                files.write_json(self._path, self.model_dump(mode="json"))
        except OSError as error:
            self._path = None
            _log.warning("%s: its live curve ends here, the training goes on (%s)", self.name, error)


@contextmanager
def open(name: str, fingerprint: str | None) -> Iterator[Curve]:
    """The curve of a training: `pretrained`, `teacher` or a rung's. One process of those that train opens it.

    fingerprint: hex digest of what determines the training, and so its curve. None: there is no file.
    """
    folder = os.environ.get(SPOOL)
    path = Path(folder) / f"{name}-{fingerprint[:16]}.json" if folder and fingerprint else None
    curve = (path and _read(path)) or Curve(name=name, fingerprint=fingerprint or "")
    curve.pid, curve.status, curve.ended, curve._path = os.getpid(), "RUNNING", None, path
    curve._write()
    try:
        yield curve
    except BaseException as error:
        curve.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    curve.end("FINISHED")


def curves() -> dict[Path, Curve]:
    """Every curve that waits in `.bitladder/spool/<task>/`, by file."""
    return {path: curve for path in sorted(HOME.glob("*/*.json")) if (curve := _read(path))}


def _read(path: Path) -> Curve | None:
    with suppress(OSError, ValidationError):
        curve = Curve.model_validate_json(path.read_bytes())
        if curve.status == "RUNNING" and not psutil.pid_exists(curve.pid):
            curve.status, curve.ended = "KILLED", path.stat().st_mtime_ns // 1_000_000
        return curve
    return None
