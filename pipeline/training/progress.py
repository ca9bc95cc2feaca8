"""Progress of training: a bar on a terminal, one line per interval elsewhere (a log, CI, DVC's output)."""

import sys
import time

from tqdm import tqdm

LINES_PER_RUN = 10


class Progress:
    """Shows steps, loss and score of one training run, about ten times over its length."""

    def __init__(self, name: str, num_steps: int) -> None:
        self.name, self.num_steps = name, num_steps
        self.interval = max(1, num_steps // LINES_PER_RUN)
        self.bar = tqdm(total=num_steps, desc=name, unit="step") if sys.stderr.isatty() else None
        self.started = time.monotonic()

    def is_due(self, step: int) -> bool:
        return step % self.interval == 0 or step == self.num_steps

    def show(self, step: int, *, loss: float, score: float | None) -> None:
        """Report the step, the mean loss since the last report and the score on the selection split."""
        text = f"loss {loss:.4f}" + ("" if score is None else f", selection score {score:.4f}")
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            self.bar.set_postfix_str(text)
            return
        left = (time.monotonic() - self.started) * (self.num_steps - step) / step
        sys.stdout.write(f"{self.name}: step {step} of {self.num_steps}, {text}, {left:.0f} s left\n")
        sys.stdout.flush()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
