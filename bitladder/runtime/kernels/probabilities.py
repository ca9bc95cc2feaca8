"""From rows of whole-number scores to what weighs the values: softmax, rounded as trained, times steps.

A row's largest exponential is 1, so its largest probability is 1 / total. At 8 bits the step of a row is
that over 127: a code is round(127 * exponential), before the total is known, and two passes do.
"""

import math
from typing import Any

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.rows import exp, load_row, place
from bitladder.runtime.kernels.structs import BITS, EXACT, PER_TOKEN, STEP
from bitladder.runtime.kernels.vector_ir import F32, FLOATS, I32, INTS, LANES, Value, instruction

_ROWS = 4  # rows that go together: none waits for its own sums, and what all need is read once


def _weighing(kind: int) -> Any:
    """`weigh(rows, size, ...)`: rows [M, size] of sums become codes of softmax * value_steps, as floats."""
    several, single = _tile(kind, _ROWS), _tile(kind, 1)

    @compiled
    def weigh(rows_at, size, added_at, mask, steps_at, scale, key_steps, value_steps, step, high, num_rows):
        row = 0
        while row < num_rows:
            rows, steps, added = rows_at + row * size * 4, steps_at + row * 4, added_at + row * 4
            if num_rows - row >= _ROWS:
                several(rows, size, added, mask, steps, scale, key_steps, value_steps, step, high)
                row += _ROWS
            else:
                single(rows, size, added, mask, steps, scale, key_steps, value_steps, step, high)
                row += 1

    return weigh


def _tile(kind: int, num_rows: int) -> Any:
    """The same for just so many rows."""
    numbers = range(num_rows)

    @instruction("void(uintp, intp, uintp, uintp, uintp, float32, uintp, uintp, float32, float32)")
    def tile(code, rows, size, added, mask, steps, scale, key_steps, value_steps, step, high):
        """score = (sum + added) * (step of the query * scale) * key_step + mask.

        added [rows]: int32. steps [rows]: of the queries; overwritten by what the product with the values is
        to be multiplied by.
        """
        builder, largest = code.builder, code.splat(high, LANES)
        row_at = [code.at(rows, code.times(size, number * 4)) for number in numbers]
        step_at = [code.at(steps, number * 4) for number in numbers]
        more = [code.splat(code.load(code.at(added, number * 4), I32), LANES) for number in numbers]
        factor = [code.splat(builder.fmul(code.load(at, F32), scale), LANES) for at in step_at]

        def score(at: Value, best: list[Value]) -> list[Value]:
            key_step, hidden = load_row(code, key_steps, at), load_row(code, mask, at)
            for row in numbers:
                found = code.load(place(code, row_at[row], at), INTS)
                if kind == EXACT:
                    x = builder.bitcast(found, FLOATS)
                else:
                    x = builder.sitofp(builder.add(found, more[row]), FLOATS)
                x = builder.fmul(builder.fmul(x, factor[row]), key_step)
                x = builder.fadd(x, hidden)
                code.store(x, place(code, row_at[row], at))
                best[row] = code.larger(best[row], x)
            return best

        best = code.loop(size, LANES, [code.floats(-math.inf)] * num_rows, score)
        top = [code.splat(code.largest(x), LANES) for x in best]

        def power(at: Value, total: list[Value]) -> list[Value]:
            value_step = load_row(code, value_steps, at)
            for row in numbers:
                y = kept = exp(code, builder.fsub(load_row(code, row_at[row], at), top[row]))
                if kind == PER_TOKEN:
                    kept = builder.fmul(code.whole_floats(builder.fmul(y, largest)), value_step)
                code.store(kept, place(code, row_at[row], at))
                total[row] = builder.fadd(total[row], y)
            return total

        powers = code.loop(size, LANES, [code.floats(0.0)] * num_rows, power)
        totals = [code.sum(total) for total in powers]
        one = code.constant(F32, 1.0)
        if kind == PER_TOKEN:
            for row in numbers:
                code.store(builder.fdiv(one, builder.fmul(totals[row], high)), step_at[row])
            return
        if kind == EXACT:
            for row in numbers:
                code.store(builder.fdiv(one, totals[row]), step_at[row])
            return
        unit = [code.splat(builder.fdiv(one, builder.fmul(total, step)), LANES) for total in totals]

        def round_(at: Value, _: list[Value]) -> list[Value]:
            value_step = load_row(code, value_steps, at)
            for row in numbers:
                ratio = builder.fmul(load_row(code, row_at[row], at), unit[row])
                if kind == BITS:
                    is_set = builder.fcmp_ordered(">=", ratio, code.floats(0.5))
                    found = builder.select(is_set, code.floats(1.0), code.floats(0.0))
                else:
                    found = code.whole_floats(code.smaller(ratio, largest))
                code.store(builder.fmul(found, value_step), place(code, row_at[row], at))
            return []

        code.loop(size, LANES, [], round_)
        for at in step_at:
            code.store(step, at)

    return tile


per_token, step_levels, two_levels = _weighing(PER_TOKEN), _weighing(STEP), _weighing(BITS)
unrounded = _weighing(EXACT)
