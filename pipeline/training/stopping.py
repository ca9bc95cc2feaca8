"""Signals that ask to stop take effect between two steps, where a training can be written down.

Whoever handles signals for the process still does (flows/stage.py: the exit code, the grace time, the second
Ctrl-C that ends it at once). Only the exception with which that handler would leave is kept until the step is
over.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Attributes:
    asked: what to leave with; None while nobody asked to stop.
    """

    def __init__(self) -> None:
        self.asked: BaseException | None = None
        self._now = False

    def handle(self, handler: Any, number: int, frame: FrameType | None) -> None:
        """Handle a signal as `handler` did, but keep what it leaves with; inside `at_once`, leave."""
        try:
            if not callable(handler):  # the default: the process would just end
                raise SystemExit(128 + number)
            handler(number, frame)
        except (KeyboardInterrupt, SystemExit) as leave:
            self.asked = leave
            if self._now:
                raise

    @contextmanager
    def at_once(self, now: bool = True) -> Iterator[None]:
        """While this runs, which may be long and changes nothing, a signal is not kept waiting if `now`."""
        self._now = now
        try:
            yield
        finally:
            self._now = False

    def leave_if(self, asked: bool) -> None:
        """Raise what the handler would have raised. `asked`: whether any process of this run was told to."""
        if asked:
            self.asked = self.asked or SystemExit(128 + signal.SIGTERM)
            raise self.asked


@contextmanager
def between_steps(leave: Callable[[], None]) -> Iterator[Stop]:
    """Keep signals while the block runs; if it ends by one, call `leave` first, which no signal disturbs.

    Outside the main thread, which gets no signals, nothing is kept.
    """
    stop, before = Stop(), dict[signal.Signals, Any]()
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number, handler in before.items():
        signal.signal(number, partial(stop.handle, handler))
    try:
        yield stop
    except (KeyboardInterrupt, SystemExit) as stopped:
        if stopped is stop.asked:
            leave()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    stop.leave_if(stop.asked is not None)  # it came after the last look
