"""What each stage took the last time it ran here: `.bitladder/timings/<stage>.json`, for plan and results."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bitladder import files
from pipeline import paths


class Timing(BaseModel):
    """One stage's last run.

    Attributes:
        seconds: on the clock.
        processor_seconds: of the stage's processes.
        peak_memory_mib: the most that one of them had.
        finished: date and time, UTC.
        task, model: of params.yaml at that time.
        steps: of training; None for a stage that trains nothing.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float
    processor_seconds: float | None = None
    peak_memory_mib: float | None = None
    finished: str | None = None
    task: str | None = None
    model: str | None = None
    steps: int | None = None


def write(stage: str, timing: Timing) -> None:
    files.write_json(path(stage), timing.model_dump())


def read(stage: str) -> Timing | None:
    """None where the stage never ran here, or the file is not what `write` writes."""
    try:
        return Timing.model_validate_json(path(stage).read_bytes())
    except (OSError, ValueError):
        return None


def path(stage: str) -> Path:
    return paths.WORK / "timings" / f"{stage}.json"
