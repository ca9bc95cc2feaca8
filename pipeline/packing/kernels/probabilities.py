"""From a row of whole-number scores to what weighs the values: softmax, rounded as trained, times steps.

The row's largest exponential is 1, so its largest probability is 1 / total. At 8 bits the step of a row is
that over 127: a code is round(127 * exponential), before the total is known, and two passes do.
"""

import math
from typing import Any

from numba import types

from pipeline.packing.kernels.rows import exp, load_row, place
from pipeline.packing.kernels.vector_ir import F32, FLOATS, INTS, LANES, Code, Value, instruction

PER_TOKEN, STEP, TWO_LEVELS = range(3)


def _weights(kind: int) -> Any:
    """row = codes of softmax(row's scores) * value_steps; returns the step to multiply the product by."""

    @instruction(
        types.float32(
            types.uintp,
            types.uintp,
            types.intp,
            types.uintp,
            types.uintp,
            types.float32,
            types.uintp,
            types.uintp,
            types.float32,
            types.float32,
        )
    )
    def weights(
        code: Code,
        sums: Value,
        row: Value,
        size: Value,
        column: Value,
        mask: Value,
        factor: Value,
        key_steps: Value,
        value_steps: Value,
        step: Value,
        high: Value,
    ) -> Value:
        """scores = (sums + column) * factor * key_steps + mask."""
        builder, wide = code.builder, code.splat(factor, LANES)

        def score(at: Value, best: list[Value]) -> list[Value]:
            whole = code.load(place(code, sums, at), INTS)
            whole = builder.add(whole, code.load(place(code, column, at), INTS))
            x = builder.fmul(builder.fmul(builder.sitofp(whole, FLOATS), wide), load_row(code, key_steps, at))
            x = builder.fadd(x, load_row(code, mask, at))
            code.store(x, place(code, row, at))
            return [code.larger(best[0], x)]

        best = code.loop(size, LANES, [code.floats(-math.inf)], score)[0]
        top = code.splat(code.largest(best), LANES)
        largest = code.splat(high, LANES)

        def power(at: Value, total: list[Value]) -> list[Value]:
            y = exp(code, builder.fsub(load_row(code, row, at), top))
            kept = y
            if kind == PER_TOKEN:
                found = code.call("llvm.rint.v16f32", FLOATS, builder.fmul(y, largest))
                kept = builder.fmul(found, load_row(code, value_steps, at))
            code.store(kept, place(code, row, at))
            return [builder.fadd(total[0], y)]

        total = code.sum(code.loop(size, LANES, [code.floats(0.0)], power)[0])
        if kind == PER_TOKEN:
            return builder.fdiv(code.constant(F32, 1.0), builder.fmul(total, high))
        unit = code.splat(builder.fdiv(code.constant(F32, 1.0), builder.fmul(total, step)), LANES)

        def round_(at: Value, _: list[Value]) -> list[Value]:
            ratio = builder.fmul(load_row(code, row, at), unit)
            if kind == TWO_LEVELS:
                is_set = builder.fcmp_ordered(">=", ratio, code.floats(0.5))
                found = builder.select(is_set, code.floats(1.0), code.floats(0.0))
            else:
                found = code.call("llvm.rint.v16f32", FLOATS, code.smaller(ratio, largest))
            code.store(builder.fmul(found, load_row(code, value_steps, at)), place(code, row, at))
            return []

        code.loop(size, LANES, [], round_)
        return step

    return weights


per_token, step_levels, two_levels = _weights(PER_TOKEN), _weights(STEP), _weights(TWO_LEVELS)
