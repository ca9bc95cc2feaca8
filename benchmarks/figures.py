"""What is made of the seconds that engines took in turns: medians with quartiles, ratios, and the bars.

A ratio is taken within each round, between two medians of calls that ran next to each other; its median over
the rounds is what is reported. Nothing here imports an engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import NamedTuple

from engines import INT8

BEST_INT8 = "best int8"
FIRST_ANSWER, MEMORY = "first answer, s", "memory"


class Middle(NamedTuple):
    """A median between its quartiles."""

    median: float
    low: float
    high: float


def middle(values: Sequence[float]) -> Middle:
    if len(values) == 1:
        return Middle(values[0], values[0], values[0])
    low, half, high = quantiles(values, n=4, method="inclusive")
    return Middle(half, low, high)


@dataclass(frozen=True)
class Cell:
    """One engine on one shape.

    Attributes:
        rounds: seconds of each call, round by round.
        resident_mib: after the last call.
    """

    rounds: list[list[float]]
    resident_mib: float

    @property
    def milliseconds(self) -> Middle:
        return middle([1000 * seconds for calls in self.rounds for seconds in calls])


def ratio(own: Cell, rival: Cell) -> Middle:
    """Own time over the rival's."""
    pairs = zip(own.rounds, rival.rounds, strict=True)
    return middle([median(calls) / median(others) for calls, others in pairs])


@dataclass(frozen=True)
class Bar:
    """One of the bars that were set: of one of our engines, with 1 thread.

    Attributes:
        shape: rows x tokens; where `what` is the first answer, of that answer.
        rival: an engine, or the fastest of those in int8; None where the bar is no ratio.
        what: time or memory as a ratio, or the seconds of a fresh process to its first answer.
    """

    engine: str
    shape: str
    rival: str | None
    at_most: float
    stretch: float
    what: str = "time"
    model: str = "base"

    def __str__(self) -> str:
        against = "" if self.rival is None else f" / {self.rival}"
        return f"{self.engine} {self.model} {self.shape}{against}, {self.what}"


BARS = (
    Bar("w1a8", "1x128", "openvino-int8", 0.60, 0.45),
    Bar("w1a8", "1x16", BEST_INT8, 0.42, 0.30),
    Bar("w1a8", "32x128", "openvino-int8", 0.65, 0.50),
    Bar("w1a8", "1x128", "torch-fp32", 1 / 12, 1 / 16),
    Bar("w1a8", "1x128", "openvino-fp32", 1 / 5, 1 / 7),
    Bar("w1a1", "1x128", "openvino-int8", 0.38, 0.25),
    Bar("w1a8", "1x128", "openvino-int8", 0.45, 0.25, MEMORY),
    Bar("w1a8", "1x16", None, 1.5, 0.7, FIRST_ANSWER),
)


@dataclass(frozen=True)
class Verdict:
    """A bar beside what was measured; None where an engine or a shape was not."""

    bar: Bar
    found: Middle | None
    rival: str | None

    @property
    def word(self) -> str:
        if self.found is None:
            return "not measured"
        value = self.found.median
        return "stretch" if value <= self.bar.stretch else "met" if value <= self.bar.at_most else "missed"


Cells = dict[str, dict[str, Cell]]  # by shape, by engine


def judge(model: str, cells: Cells, first_answers: dict[str, Middle]) -> list[Verdict]:
    """The bars that are for this model."""
    return [_verdict(bar, cells.get(bar.shape, {}), first_answers) for bar in BARS if bar.model == model]


def _verdict(bar: Bar, cells: dict[str, Cell], first_answers: dict[str, Middle]) -> Verdict:
    if bar.rival is None:
        return Verdict(bar, first_answers.get(bar.engine), None)
    rival = fastest(cells, INT8) if bar.rival == BEST_INT8 else bar.rival
    if rival is None or rival not in cells or bar.engine not in cells:
        return Verdict(bar, None, rival)
    own, other = cells[bar.engine], cells[rival]
    if bar.what == MEMORY:
        return Verdict(bar, middle([own.resident_mib / other.resident_mib]), rival)
    return Verdict(bar, ratio(own, other), rival)


def fastest(cells: dict[str, Cell], names: Sequence[str]) -> str | None:
    """Of those that were measured."""
    there = [name for name in names if name in cells]
    return min(there, key=lambda name: cells[name].milliseconds.median, default=None)
