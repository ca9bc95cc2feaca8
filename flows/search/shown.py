"""How far a search is: a bar of steps on a terminal, lines elsewhere; a line for each trial in both."""

import sys
import threading

from tqdm import tqdm

from pipeline.progress import say

BAR = "{desc} {percentage:3.0f} % |{bar}| step {n_fmt} of {total_fmt}, {remaining} left{postfix}"


class Shown:
    """Of all trials that this process sees; those of others count once they are done.

    Args:
        num_steps: of one ladder.
        num_trials: wanted.
    """

    def __init__(self, name: str, *, num_steps: int, num_trials: int) -> None:
        self.num_steps, self.lock = num_steps, threading.Lock()
        self.done, self.under_way = 0, dict[int, int]()
        self.bar = None
        if sys.stderr.isatty():
            self.bar = tqdm(total=num_steps * num_trials, desc=name, bar_format=BAR, dynamic_ncols=True)

    def line(self, text: str) -> None:
        if self.bar is None:
            say(text)
        else:
            with self.lock:
                self.bar.write(text)

    def step(self, trial: int, step: int) -> None:
        """A trial has come so far; steps of rungs that were there already count."""
        with self.lock:
            self.under_way[trial] = max(step, self.under_way.get(trial, 0))
            self._refresh()

    def counted(self, done: int, best: str, ended: int | None = None) -> None:
        """So many trials are done, this one not under way any more. `best`: goes after the bar."""
        with self.lock:
            self.done = done
            if ended is not None:
                self.under_way.pop(ended, None)
            if self.bar is not None:
                self.bar.set_postfix_str(best, refresh=False)
            self._refresh()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def _refresh(self) -> None:
        if self.bar is not None:
            so_far = self.done * self.num_steps + sum(self.under_way.values())
            self.bar.update(min(so_far, self.bar.total or 0) - self.bar.n)
