"""A stage that is one of several processes under torchrun: how it lives, who speaks, how it reports its end.

Process 0 speaks for all. What a process that fails has to say goes where torchrun looks for it; so whoever
started torchrun tells it once, however many processes fail of the same.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flows import processes
from pipeline.params import Params

TRAINING = ("pretrained", "teacher", "weights", "weights_activations")
PARENT = (
    "BITLADDER_PARENT"  # PID of the process of ours that started this one; unset under a torchrun by hand
)
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # where torchrun looks


class OneProcessError(ValueError):
    """Torchrun has started a stage that several processes cannot share."""

    exit_code = 2


def trains(settings: Params, stage: str) -> bool:
    """Whether this stage trains a model; a pre-trained one may be copied instead."""
    return stage in TRAINING and (stage != "pretrained" or settings.model.source == "demo")


def is_one() -> bool:
    """Whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def leads() -> bool:
    return os.environ["RANK"] == "0"


def is_supervised() -> bool:
    """Whether a stage of ours has started torchrun; it holds the lock then."""
    return PARENT in os.environ


def settle(address: str) -> Callable[[str], None]:
    """Die with torchrun, leave the speaking to process 0; returns how to say why this process fails.

    Killed, not told to stop: a process that waits for another does not hear.
    """
    started_by = os.environ.get(PARENT)
    processes.die_with_parent(signal.SIGKILL, parent=int(started_by) if started_by else None)
    stderr = os.dup(2)
    if not leads() and os.environ.get("BITLADDER_DEBUG") != "1":
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)

    def say(text: str) -> None:
        _leave(text.removeprefix(f"{address}: "))
        if not is_supervised():
            os.write(stderr, f"process {os.environ['RANK']}: {text}\n".encode())

    return say


def require_shared(stage: str) -> None:
    """Raises OneProcessError when this stage is not one that trains."""
    if stage not in TRAINING:
        raise OneProcessError("runs in one process; start it without torchrun")


@contextmanager
def sole_writer(lock: Path) -> Iterator[None]:
    """Hold the lock on a stage's output, once for all: the stage that started torchrun does, or process 0."""
    if is_one() and (is_supervised() or not leads()):
        yield
    else:
        with processes.sole_writer(lock):
            yield


def _leave(text: str) -> None:
    """In the form of torch.distributed.elastic's own error handler."""
    with suppress(KeyError, OSError):
        note = {"message": text, "timestamp": int(time.time())}
        Path(os.environ[ERROR_FILE]).write_text(json.dumps(note), encoding="utf-8")
