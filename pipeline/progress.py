"""How far a long piece of work is: a bar on a terminal, lines elsewhere (a log, CI, DVC's output).

Two different things can be due. A point of a training's curve depends on steps alone and is the loop's
business, so that a curve does not depend on how fast the machine is; `show` tells what was found there. A
sign of life between two points depends on the clock alone; `tick` gives it, and never asks the device for
anything.

Examples per second and time left are those of this run's own steps, evaluations included; a run that was
resumed does not count the steps of the one before.
"""

import sys
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0
SECONDS_BETWEEN_REFRESHES = 0.5
BAR = "{desc} {percentage:3.0f} % |{bar}| {unit} {n_fmt} of {total_fmt}{postfix}"


def say(text: str) -> None:
    """Write one line to standard output now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Progress:
    """Shows one piece of work.

    Args:
        name: what is trained or made.
        num_steps: of the whole work.
        rows_per_step: examples in a step, over all processes.
        first_step: steps that were taken before this process began.
        unit: what a step is called.
    """

    def __init__(
        self, name: str, num_steps: int, *, rows_per_step: int = 1, first_step: int = 0, unit: str = "step"
    ) -> None:
        self.name, self.num_steps, self.unit = name, num_steps, unit
        self.rows_per_step, self.first_step, self.step = rows_per_step, first_step, first_step
        self.bar = None
        if sys.stderr.isatty():
            self.bar = tqdm(
                total=num_steps, initial=first_step, desc=name, unit=unit, bar_format=BAR, dynamic_ncols=True
            )
        self.patience = SECONDS_BETWEEN_LINES if self.bar is None else SECONDS_BETWEEN_REFRESHES
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

    def advance(self, number: int) -> None:
        """So many steps more, of work that has no points; its last line tells the whole."""
        self.step += number
        if self.step == self.num_steps:
            self._tell(self.step, "")
        else:
            self.tick(self.step)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def _tell(self, step: int, fresh_score: str) -> None:
        self.last_told = time.monotonic()
        seconds_per_step = (self.last_told - self.started) / max(1, step - self.first_step)
        rate = self.rows_per_step / max(seconds_per_step, 1e-9)
        left = duration(seconds_per_step * (self.num_steps - step))
        pace = f"{rate:.{0 if rate >= 10 else 1}f} examples/s, {left} left"
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            self.bar.set_postfix_str(_joined(self.last_loss, self.last_score, pace))
            return
        when = "" if self.loss_step in (0, step) else f" at step {self.loss_step}"
        place = f"{self.unit} {step} of {self.num_steps}"
        say(f"{self.name}: {_joined(place, self.last_loss + when, fresh_score, pace)}")


def duration(seconds: float) -> str:
    """In the unit that a person would choose: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
