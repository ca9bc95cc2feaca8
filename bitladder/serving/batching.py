"""Requests that come together are computed together: one queue, one thread that asks the model.

A row that finds nobody waiting waits for others, a millisecond or two; while a batch is computed, the next
one gathers. What does not fit into the queue is refused at once.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from bitladder.answers import Answer
from bitladder.rows.row import Bad, Row
from bitladder.serving.limits import Limits, RefusedError

Answers = list[Answer | Bad]
logger = logging.getLogger("bitladder.serving")


@dataclass(frozen=True)
class _Waiting:
    rows: list[Row]
    answers: "asyncio.Future[Answers]"
    since: float


class Batcher:
    """Asks `answer`, in a thread of its own, with the rows of several requests; use within one event loop.

    Attributes:
        num_waiting: rows in the queue.
    """

    def __init__(
        self,
        answer: Callable[[list[Row]], Answers],
        limits: Limits,
        seen: Callable[[int], None] = lambda num_rows: None,
    ) -> None:
        """`seen` is told how many rows each batch had."""
        self._answer, self._limits, self._seen = answer, limits, seen
        self._queue: deque[_Waiting] = deque()
        self._wake, self._closed, self.num_waiting = asyncio.Event(), False, 0
        self._seconds_per_row = 0.0
        self._thread = ThreadPoolExecutor(1, "bitladder-serve")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Answer all that waits, and take no more."""
        self._closed = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def ask(self, rows: list[Row]) -> Answers:
        """An answer for each row.

        Raises RefusedError: 503 when the queue is full or closed, 500 when the model fails.
        """
        if self._closed:
            raise RefusedError(503, "the server is shutting down", 1)
        if self.num_waiting + len(rows) > self._limits.queue:
            seconds = max(1, math.ceil(self.num_waiting * self._seconds_per_row))
            raise RefusedError(503, f"{self.num_waiting} texts wait already; try again later", seconds)
        loop = asyncio.get_running_loop()
        one = _Waiting(rows, loop.create_future(), loop.time())
        self._queue.append(one)
        self.num_waiting += len(rows)
        self._wake.set()
        return await one.answers

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if not self._queue:
                if self._closed:
                    return
                self._wake.clear()
                continue
            await self._wait_for_more()
            await self._answer_all(self._take())

    async def _wait_for_more(self) -> None:
        left = self._queue[0].since + self._limits.wait - asyncio.get_running_loop().time()
        if left > 0 and self.num_waiting < self._limits.rows and not self._closed:
            await asyncio.sleep(left)

    def _take(self) -> list[_Waiting]:
        """Whole requests, up to `limits.rows` rows of all, the first in any case."""
        found, num_rows = list[_Waiting](), 0
        while self._queue and (not found or num_rows + len(self._queue[0].rows) <= self._limits.rows):
            found.append(self._queue.popleft())
            num_rows += len(found[-1].rows)
        self.num_waiting -= num_rows
        return found

    async def _answer_all(self, batch: list[_Waiting]) -> None:
        rows = [row for one in batch for row in one.rows]
        self._seen(len(rows))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            answers = await loop.run_in_executor(self._thread, self._answer, rows)
        except Exception as error:
            logger.error("the model failed: %s: %s", type(error).__name__, " ".join(str(error).split()))
            _give(batch, RefusedError(500, "the model failed; the server's log says more"))
            return
        self._seconds_per_row = (loop.time() - begun) / max(len(rows), 1)
        _give(batch, answers)


def _give(batch: list[_Waiting], answers: Answers | RefusedError) -> None:
    at = 0
    for one in batch:
        with suppress(asyncio.InvalidStateError):  # nobody waits for it any more
            if isinstance(answers, RefusedError):
                one.answers.set_exception(answers)
            else:
                one.answers.set_result(answers[at : at + len(one.rows)])
        at += len(one.rows)
