"""Requests that come together are computed together, each gets its own answers, and no more wait than may."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bitladder.rows.row import Bad, Row
from bitladder.serving.batching import Batcher
from bitladder.serving.limits import Limits, RefusedError

TOGETHER = Limits(wait=0.02)


def rows(*texts: str) -> list[Row]:
    return [Row(number, text) for number, text in enumerate(texts)]


def echo(asked: list[Row]) -> list[dict[str, Any] | Bad]:
    return [Bad(row.number, "bad") if row.text == "bad" else {"label": row.text} for row in asked]


def run(
    work: Callable[[Batcher], Awaitable[Any]], answer: Any = echo, limits: Limits = TOGETHER
) -> tuple[Any, list[int]]:
    """What `work` gives, and the rows of each batch."""
    batches: list[int] = []

    async def main() -> Any:
        batcher = Batcher(answer, limits, batches.append)
        batcher.start()
        try:
            return await work(batcher)
        finally:
            await batcher.close()

    return asyncio.run(main()), batches


def test_what_comes_together_is_one_batch_and_each_has_its_own_answers() -> None:
    async def work(batcher: Batcher) -> Any:
        return await asyncio.gather(*(batcher.ask(rows(f"{n}", f"{n}!")) for n in range(5)))

    found, batches = run(work)
    assert found == [[{"label": f"{n}"}, {"label": f"{n}!"}] for n in range(5)]
    assert batches == [10]


def test_a_batch_has_whole_requests_and_no_more_rows_than_may_be() -> None:
    async def work(batcher: Batcher) -> Any:
        return await asyncio.gather(*(batcher.ask(rows("a", "b", "c")) for _ in range(4)))

    _, batches = run(work, limits=Limits(rows=7, wait=0.02))
    assert batches == [6, 6]


def test_a_bad_row_is_that_request_s_alone() -> None:
    async def work(batcher: Batcher) -> Any:
        return await asyncio.gather(batcher.ask(rows("a")), batcher.ask(rows("b", "bad")))

    assert run(work)[0] == [[{"label": "a"}], [{"label": "b"}, Bad(1, "bad")]]


def test_what_does_not_fit_into_the_queue_is_refused_at_once_and_later_taken() -> None:
    free = threading.Event()

    def slow(asked: list[Row]) -> Any:
        free.wait(10)
        return echo(asked)

    async def work(batcher: Batcher) -> Any:
        first = asyncio.ensure_future(batcher.ask(rows("computed")))
        while batcher.num_waiting or not first:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        waiting = [asyncio.ensure_future(batcher.ask(rows("waits"))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="3 texts wait already") as caught:
            await batcher.ask(rows("too many"))
        free.set()
        await asyncio.gather(first, *waiting)
        return caught.value, await batcher.ask(rows("later"))

    (refused, later), _ = run(work, slow, Limits(queue=3, wait=0))
    assert refused.status == 503
    assert refused.retry_after >= 1
    assert later == [{"label": "later"}]


def test_a_failure_of_the_model_is_a_line_and_the_next_request_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(asked: list[Row]) -> Any:
        if asked[0].text == "boom":
            raise RuntimeError("secret\npath")
        return echo(asked)

    async def work(batcher: Batcher) -> Any:
        with pytest.raises(RefusedError) as caught:
            await batcher.ask(rows("boom"))
        return caught.value, await batcher.ask(rows("a"))

    (refused, after), _ = run(work, fails)
    assert (refused.status, after) == (500, [{"label": "a"}])
    assert "secret" not in refused.detail
    assert caplog.messages == ["the model failed: RuntimeError: secret path"]


def test_closing_answers_what_waits_and_takes_no_more() -> None:
    async def work(batcher: Batcher) -> Any:
        waiting = [asyncio.ensure_future(batcher.ask(rows(f"{n}"))) for n in range(3)]
        await asyncio.sleep(0)
        await batcher.close()
        with pytest.raises(RefusedError, match="shutting down"):
            await batcher.ask(rows("late"))
        return await asyncio.gather(*waiting)

    assert run(work)[0] == [[{"label": f"{n}"}] for n in range(3)]


def test_who_goes_away_leaves_the_others_answered() -> None:
    async def work(batcher: Batcher) -> Any:
        gone = asyncio.ensure_future(batcher.ask(rows("gone")))
        stays = asyncio.ensure_future(batcher.ask(rows("stays")))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert run(work)[0] == [{"label": "stays"}]
