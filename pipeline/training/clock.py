"""How long a step takes, by the moments at which optimizers step: the training code knows nothing of it.

torch calls a global hook after every optimizer's step, so what is timed is whatever the loop has become: its
batches, its loss, its clipping, from the end of one step to the end of the next.
"""

import time
from types import TracebackType
from typing import Any, Self

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

Moment = tuple[float, float]  # seconds on the wall, seconds of this process's processors


def now() -> Moment:
    return time.perf_counter(), time.process_time()


def since(start: Moment) -> Moment:
    """Seconds since a moment, of both kinds."""
    wall, cpu = now()
    return wall - start[0], cpu - start[1]


class StepClock:
    """A context in which every training step of this process is timed.

    Attributes:
        ends: when each optimizer step ended.
    """

    def __init__(self) -> None:
        self.ends: list[Moment] = []

    def __enter__(self) -> Self:
        self._hook = register_optimizer_step_post_hook(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hook.remove()

    @property
    def durations(self) -> list[Moment]:
        """Seconds of each step but the first, whose beginning nobody saw and which warms caches up."""
        pairs = zip(self.ends, self.ends[1:], strict=False)
        return [(end[0] - start[0], end[1] - start[1]) for start, end in pairs]

    def _note(self, optimizer: torch.optim.Optimizer, arguments: Any, keywords: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # else the queue is timed, not the work
        self.ends.append(now())
