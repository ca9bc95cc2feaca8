"""The engine of a model is the one that was fastest here, on its own shapes.

Each engine that runs on this computer multiplies one layer's matrices once or twice, for few rows and for
many. What was measured is kept beside the machine code, so for this processor, these versions and this text
of the kernels.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitladder.runtime.kernels import engines
from bitladder.runtime.kernels.engines import ENGINES, Choice, Engine

FEW, MANY = 16, 128  # rows: a short and a usual sequence
_TIMES = 3  # of which the fastest counts: others may want the processor too
_SPARE = 16  # rows that a product may touch after the last


@dataclass(frozen=True)
class Shape:
    """What decides which engine is fastest.

    Attributes:
        bits: of weights; activations are of 8.
    """

    hidden: int
    neurons: int
    bits: int

    def matrices(self) -> list[tuple[int, int]]:
        """Outputs and inputs of a layer's, query, key and value as one."""
        hidden, neurons = self.hidden, self.neurons
        return [(3 * hidden, hidden), (hidden, hidden), (neurons, hidden), (hidden, neurons)]


BERT_BASE = Shape(768, 3072, 1)


def choose(shape: Shape | None) -> Choice:
    """The engine that the environment asks for, else the fastest; `shape`: None where engines do not differ.

    Raises:
        EngineError: BITLADDER_ENGINE names one that does not exist, or does not run here.
        UnsupportedError: an engine does not compile here.
    """
    likely = engines.choose()
    if likely.is_forced or shape is None or len(candidates()) < 2:
        return likely
    found = measured(shape)
    best = min(found, key=lambda name: math.prod(found[name]))
    few, many = found[best]
    return Choice(best, f"the fastest here: {few:.2f} ms for a layer of {FEW} rows, {many:.2f} ms of {MANY}")


def candidates() -> list[str]:
    """Engines that run here, but the plain one where there is another."""
    found = engines.running()
    return [name for name in found if name != "plain"] or found


def measured(shape: Shape) -> dict[str, tuple[float, float]]:
    """Milliseconds of a layer's products by engine, for FEW and for MANY rows. Raises UnsupportedError."""
    from bitladder.runtime.kernels import machine_code

    name = f"measured_{shape.hidden}_{shape.neurons}_{shape.bits}.json"
    kept = machine_code.read(name)
    if kept is not None:
        return {engine: (few, many) for engine, (few, many) in json.loads(kept).items()}
    found = measure(shape)
    machine_code.keep(name, json.dumps(found).encode())
    return found


def measure(shape: Shape) -> dict[str, tuple[float, float]]:
    """The same, by the clock of this thread. Engines take turns, so that what slows one slows all."""
    runs = {name: [_layer(ENGINES[name], shape, rows) for rows in (FEW, MANY)] for name in candidates()}
    found = {name: [math.inf, math.inf] for name in runs}
    for _ in range(_TIMES):
        for name, both in runs.items():
            for number, run in enumerate(both):
                begin = time.thread_time()
                run()
                found[name][number] = min(found[name][number], 1e3 * (time.thread_time() - begin))
    return {name: (few, many) for name, (few, many) in found.items()}


def _layer(engine: Engine, shape: Shape, rows: int) -> Callable[[], None]:
    """A layer's products, as blocks of the engine's rows."""
    from bitladder.runtime.kernels import machine_code
    from bitladder.runtime.kernels.memory_order import aligned

    own, largest = engine.for_bits(shape.bits), max(shape.hidden, shape.neurons)
    multiply = machine_code.function(machine_code.product(own.name, shape.bits))
    draw = np.random.default_rng(0)
    codes = aligned(draw.integers(-127, 128, (rows + _SPARE, largest), dtype=np.int8))
    size = max(outputs * inputs for outputs, inputs in shape.matrices()) * shape.bits // 8
    weights = aligned(draw.integers(0, 256, size, dtype=np.uint8))
    panel = own.panel or 3 * shape.hidden + shape.neurons
    sums = aligned(np.empty((min(rows, engine.rows) + _SPARE) * panel, np.int32))
    scratch = aligned(np.empty(48 * largest + (80 << 10), np.uint8))
    places: list[Any] = [codes, weights, sums, scratch]
    codes_at, weights_at, sums_at, scratch_at = (int(place.ctypes.data) for place in places)

    def run() -> None:
        for outputs, inputs in shape.matrices():
            for first in range(0, rows, engine.rows):
                block = min(engine.rows, rows - first)
                for output in range(0, outputs, panel):
                    width, place = min(panel, outputs - output), output * inputs * shape.bits // 8
                    at = codes_at + first * inputs
                    multiply(at, weights_at + place, sums_at, scratch_at, block, width, inputs)
        assert len(places) == 4  # they live as long as this function

    return run
