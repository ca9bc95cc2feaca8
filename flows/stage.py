"""One DVC stage: `python -m flows.stage NAME [RUNG]`, which is the whole command of every stage in dvc.yaml.

RUNG (of `repeat`: a seed) defaults to what follows "@" in DVC_STAGE, which DVC sets, so no text of
params.yaml reaches a shell. The work itself is `run(params, rung)` of `pipeline/stages/<name>.py`; that of
`repeat` is other stages (`flows/repeat.py`). Around it, in this order: a quiet environment, an end when dvc
ends, one writer per output, checked parameters; then the plain function, or the same function inside a
Prefect flow run when PREFECT_API_URL names a server. Where several processes train (`training.processes`),
the work is to start and watch those; each is this command again, under torchrun.

Exit codes: 0 done, 1 failed, 2 wrong parameters, 4 an input is not what was written, 75 another process
writes this output, 130 and 143 stopped by a signal; an error class may carry its own in `exit_code`. Of
several processes, the code of the one that failed.
"""

import argparse
import importlib
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType

from bitladder import files, shown
from flows import environment, estimate, live_curves, processes, repeat, torchrun, unchanged, watched
from flows.estimate import Timing
from pipeline import params_file, paths
from pipeline.params import Params
from pipeline.rungs import PRETRAINED, TEACHER

STAGES = ("prepare", "augment", *torchrun.TRAINING, "pack", repeat.STAGE, "evaluate", "report", "register")
GRACE_S = 10  # time to write a checkpoint after the first signal


def main(arguments: list[str] | None = None) -> int:
    """Run one stage and return its exit code. Every failure is one line on stderr."""
    name, rung = _parse(sys.argv[1:] if arguments is None else arguments)
    address = f"{name}@{rung}" if rung else name
    environment.prepare()
    shown.never_fail(sys.stdout, sys.stderr)
    processes.keep_what_is_freed()
    say: Callable[[str], object] = lambda text: sys.stderr.write(f"{text}\n")  # noqa: E731
    if torchrun.is_one():
        say = torchrun.settle(address)
    else:
        processes.die_with_dvc()
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, _on_signal)
    _log_to_stderr()
    try:
        with torchrun.sole_writer(paths.WORK / "locks" / f"{address}.lock"):
            run(name, rung, address)
    except KeyboardInterrupt:
        say(f"{address}: interrupted")
        return 130
    except Exception as error:
        say(_explain(address, error))
        return exit_code(error)
    return 0


def run(name: str, rung: str | None, address: str) -> None:
    """The stage's own work, from checked parameters to the note of how long it took."""
    environment.require_folder(Path.cwd())
    settings = params_file.load(paths.PARAMS)
    require_unchanged = unchanged.watched(address)
    environment.stay_offline_unless(settings)
    if name == repeat.STAGE:
        work = partial(repeat.run, settings, rung)
    else:
        work = partial(importlib.import_module(f"pipeline.stages.{name}").run, settings, rung)
    if torchrun.is_one():
        torchrun.require_shared(name)
        work()
        return
    if torchrun.serves(settings, name):
        work = partial(torchrun.run, settings, name, rung, address)
    taken = max(torchrun.newest_steps(rung or name).values(), default=0)  # by a training that was stopped
    started = time.monotonic()
    with live_curves.shown(settings, name):
        if os.environ.get("PREFECT_API_URL"):
            watched.perform(name, address, work)
        else:
            work()
    require_unchanged()
    _note(settings, address, rung or name, taken, time.monotonic() - started)


def _note(settings: Params, stage: str, model: str, taken: int, seconds: float) -> None:
    """What the stage took, for the plan's estimates and the results table. `taken`: steps before it began."""
    steps = None
    if stage == estimate.stage_of(settings, model) and model in (PRETRAINED, TEACHER, *settings.rungs):
        steps = estimate.num_steps(settings, model)
    Timing(
        seconds=round(seconds, 3),
        processor_seconds=round(sum(os.times()[:4]), 3),  # of this process and its children
        peak_memory_mib=round(processes.peak_mib(), 1),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        task=settings.task.name,
        model=settings.model.name,
        steps=steps and steps - taken,
    ).write(stage)


def exit_code(error: Exception) -> int:
    if isinstance(error, files.IntegrityError):
        return 4
    return int(getattr(error, "exit_code", 1))


def _parse(arguments: list[str]) -> tuple[str, str | None]:
    parser = argparse.ArgumentParser(prog="python -m flows.stage", description="Run one stage of dvc.yaml.")
    parser.add_argument("name", choices=STAGES)
    parser.add_argument("rung", nargs="?", help="default: what follows @ in DVC_STAGE")
    parsed = parser.parse_args(arguments)
    stage, _, rung = os.environ.get("DVC_STAGE", "").rpartition(":")[2].partition("@")
    return parsed.name, parsed.rung or (rung or None if stage == parsed.name else None)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    """First signal: unwind, so that work in hand can be saved. A second Ctrl-C or the grace time ends it."""
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        if number == signal.SIGINT:
            os._exit(130)
        return
    signal.setitimer(signal.ITIMER_REAL, GRACE_S)  # SIGALRM's default is to end the process
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("flows", "pipeline"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False  # Prefect replaces the root logger's handlers


def _explain(address: str, error: Exception) -> str:
    if os.environ.get("BITLADDER_DEBUG") == "1":
        return "".join(traceback.format_exception(error)).rstrip()
    kind = "" if isinstance(error, ValueError | RuntimeError | OSError) else f"{type(error).__name__}: "
    return f"{address}: {kind}{error}{_on_memory(error)}"


def _on_memory(error: Exception) -> str:
    """What to do, where memory was not enough; else nothing."""
    texts = ("allocate memory", "out of memory")  # torch's, of the CPU and of a GPU
    if not isinstance(error, MemoryError) and not any(text in str(error) for text in texts):
        return ""
    return (
        f"\nMemory was not enough; this process had taken {processes.peak_mib():.0f} MiB. A smaller "
        "batch_size (in `training`) or task.max_length needs less; bitladder plan estimates how much"
    )


if __name__ == "__main__":
    watched.end_process(main())
