"""How far `bitladder compress` is: one bar with the time left on a terminal, lines elsewhere.

The bar is filled by the expected seconds of each stage, and within a training by the steps that its curve
has. The time left is told by how fast it was filled since this process began.
"""

import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from bitladder import files
from pipeline.progress import duration, say

BAR = "compress {percentage:3.0f} % |{bar}| {postfix}"
LOOK_S, BETWEEN_LINES_S = 0.5, 60.0


class Shown:
    """Of the whole work.

    Args:
        expected: seconds of every stage.
        steps: of the stages that train, by the name of their model.
        spool: the folder in which curves grow.
    """

    def __init__(self, expected: Mapping[str, float], steps: Mapping[str, int], spool: Path) -> None:
        self.expected, self.steps, self.spool = dict(expected), dict(steps), spool
        self.done: set[str] = set()
        self.begun = self.told = time.monotonic()
        self.began = time.time()  # files know no other clock
        self.skipped = 0.0  # of what was there already when this process began
        self.stop = threading.Event()
        self.bar = None
        if sys.stderr.isatty():
            self.bar = tqdm(total=100.0, bar_format=BAR, dynamic_ncols=True)
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()

    def line(self, text: str) -> None:
        if self.bar is None:
            say(text)
        else:
            self.bar.write(text)

    def ended(self, stage: str, *, ran: bool) -> None:
        """A stage is done; one that was up to date says nothing of the pace."""
        if stage not in self.done:
            self.done.add(stage)
            self.skipped += 0.0 if ran else self.expected.get(stage, 0.0)
            if ran:
                self.line(f"{stage}: done; {self._status()}")

    def close(self) -> None:
        self.stop.set()
        self.watcher.join()
        if self.bar is not None:
            self.bar.close()

    def share(self) -> float:
        """Of the whole work that is done."""
        whole = sum(self.expected.values())
        return min(1.0, self._filled() / whole) if whole else 0.0

    def left(self) -> float | None:
        """Seconds; None where nothing tells yet."""
        worked, passed = self._filled() - self.skipped, time.monotonic() - self.begun
        if worked <= 0 or passed <= 0:
            return None
        return passed / worked * max(0.0, sum(self.expected.values()) - self._filled())

    def _filled(self) -> float:
        whole = sum(self.expected.get(stage, 0.0) for stage in self.done)
        return whole + sum(
            self.expected.get(stage, 0.0) * min(1.0, self._step(name) / num_steps)
            for name, num_steps in self.steps.items()
            for stage in self.expected
            if stage.partition("@")[2] == name or stage == name
            if stage not in self.done and not stage.startswith("pack@")
        )

    def _step(self, name: str) -> int:
        """The newest step of a model's training that its curve has."""
        newest = 0
        for path in self.spool.glob(f"{name}-*.json"):
            with suppress(OSError, ValueError, LookupError, TypeError):
                if path.stat().st_mtime >= self.began:  # others are of trainings of earlier settings
                    newest = max((step for _, step, _ in files.read_json(path)["points"]), default=0)
        return newest

    def _status(self) -> str:
        left = self.left()
        return f"{100 * self.share():.0f} %" + ("" if left is None else f", about {duration(left)} left")

    def _watch(self) -> None:
        while not self.stop.wait(LOOK_S):
            if self.bar is not None:
                self.bar.set_postfix_str(self._status().partition(", ")[2], refresh=False)
                self.bar.update(100 * self.share() - self.bar.n)
            elif time.monotonic() - self.told > BETWEEN_LINES_S:
                self.told = time.monotonic()
                say(f"compress: {self._status()}")
