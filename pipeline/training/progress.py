"""How far a training run is: a bar on a terminal, lines elsewhere (a log, CI, DVC's output).

Two different things can be due. A point of the curve depends on steps alone and is the loop's business, so
that a curve does not depend on how fast the machine is; `show` tells what was found there. A sign of life
between two points depends on the clock alone; `tick` gives it, and never asks the device for anything.

Examples per second and time left are those of this run's own steps, evaluations included; a run that was
resumed does not count the steps of the one before.
"""

import sys
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0
SECONDS_BETWEEN_REFRESHES = 0.5
BAR = "{desc} {percentage:3.0f} % |{bar}| step {n_fmt} of {total_fmt}{postfix}"


class Progress:
    """Shows one training run.

    Args:
        name: what is trained.
        num_steps: of the whole run.
        rows_per_step: examples in a step, over all processes.
        first_step: steps that were taken before this process began.
    """

    def __init__(self, name: str, num_steps: int, *, rows_per_step: int, first_step: int = 0) -> None:
        self.name, self.num_steps = name, num_steps
        self.rows_per_step, self.first_step = rows_per_step, first_step
        self.bar = _bar(name, num_steps, first_step) if sys.stderr.isatty() else None
        self.patience = SECONDS_BETWEEN_REFRESHES if self.bar is not None else SECONDS_BETWEEN_LINES
        self.last_loss = self.last_score = ""
        self.loss_step = 0
        self.started = self.last_told = time.monotonic()

    def show(self, step: int, *, loss: float, score: float | None) -> None:
        """Report a point: the mean loss since the last one, and the score on the selection split if known."""
        self.last_loss, self.loss_step = f"loss {loss:.4f}", step
        fresh_score = "" if score is None else f"selection score {score:.4f}"
        self.last_score = fresh_score or self.last_score
        self._tell(step, fresh_score)

    def tick(self, step: int) -> None:
        """A step without a point: costs a look at the clock, and now and then a line or a refresh."""
        if time.monotonic() - self.last_told >= self.patience:
            self._tell(step, "")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def _tell(self, step: int, fresh_score: str) -> None:
        self.last_told = time.monotonic()
        pace = self._pace(step)
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            self.bar.set_postfix_str(_joined(self.last_loss, self.last_score, *pace))
            return
        when = "" if self.loss_step in (0, step) else f" at step {self.loss_step}"
        line = _joined(f"step {step} of {self.num_steps}", self.last_loss + when, fresh_score, *pace)
        sys.stdout.write(f"{self.name}: {line}\n")
        sys.stdout.flush()

    def _pace(self, step: int) -> tuple[str, str]:
        seconds_per_step = (self.last_told - self.started) / max(1, step - self.first_step)
        rate = self.rows_per_step / max(seconds_per_step, 1e-9)
        return (
            f"{rate:.{0 if rate >= 10 else 1}f} examples/s",
            f"{duration(seconds_per_step * (self.num_steps - step))} left",
        )


def duration(seconds: float) -> str:
    """In the unit that a person would choose: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _bar(name: str, num_steps: int, first_step: int) -> "tqdm[None]":
    return tqdm(total=num_steps, initial=first_step, desc=name, bar_format=BAR, dynamic_ncols=True)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
