"""How far a long piece of work is: a bar on a terminal, otherwise one plain line per interval."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

INTERVAL_SECONDS = 10.0


def say(text: str) -> None:
    """Write one line to standard output now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def progress(
    total: int, label: str, *, interval_seconds: float = INTERVAL_SECONDS
) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of rows done since the last call.

    Off a terminal the last line always tells the whole count and the rate.
    """
    on_terminal = sys.stderr.isatty()
    started = written = time.monotonic()
    with tqdm(total=total, desc=label, unit=" rows", disable=not on_terminal) as bar:
        done = 0

        def advance(rows: int) -> None:
            nonlocal done, written
            done += rows
            bar.update(rows)
            now = time.monotonic()
            if not on_terminal and (done == total or now - written >= interval_seconds):
                written = now
                say(_line(label, done, total, now - started))

        yield advance


def _line(label: str, done: int, total: int, seconds: float) -> str:
    rate = done / max(seconds, 1e-9)
    left = f", {(total - done) / rate:.0f} s left" if done < total else f", {seconds:.1f} s"
    return f"{label}: {done} of {total} rows, {rate:.0f} rows/s{left}"
