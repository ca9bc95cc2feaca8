"""Embeddings from bits: only the rows that are looked up are expanded, each into the sum that it is part of.

A row's codes lie as in the packed file (bitladder/packed/codes.py). A value is code * scale; in a table of 32
bits it is there as it is.
"""

from typing import Any

from llvmlite import ir

from bitladder.quantizers.precision import FULL
from bitladder.runtime.kernels.compiling import compiled, floats_at
from bitladder.runtime.kernels.rows import load_row, normalize, place
from bitladder.runtime.kernels.structs import POSITION, SEGMENT, WORD
from bitladder.runtime.kernels.vector_ir import FLOATS, I8, INTS, LANES, Code, Value, instruction


def _adding(bits: int) -> Any:
    """row += codes * scale, for codes of so many bits."""

    @instruction("void(uintp, uintp, intp, float32)")
    def add(code: Code, stored: Value, row: Value, size: Value, scale: Value) -> None:
        builder, wide = code.builder, code.splat(scale, LANES)
        kind = ir.VectorType(I8, 2 * bits)  # the bytes of 16 codes
        lanes = range(LANES)
        up = code.constant(INTS, [32 - bits - lane * bits % 8 for lane in lanes])
        down = code.constant(INTS, [32 - bits] * LANES)

        def body(at: Value) -> None:
            first = builder.lshr(code.times(at, bits), code.whole(3))
            stored_bytes = code.load(code.at(stored, first), kind)
            found = code.shuffle(stored_bytes, [lane * bits // 8 for lane in lanes])
            codes = builder.ashr(builder.shl(builder.zext(found, INTS), up), down)
            if bits == 1:  # 0 and -1 stand for -1 and +1
                codes = builder.sub(builder.mul(codes, code.constant(INTS, -2)), code.constant(INTS, 1))
            values = builder.fmul(builder.sitofp(codes, FLOATS), wide)
            code.store(builder.fadd(load_row(code, row, at), values), place(code, row, at))

        code.each(size, body)

    return add


_add_1, _add_2, _add_4, _add_8 = _adding(1), _adding(2), _adding(4), _adding(8)


@instruction("void(uintp, uintp, intp)")
def _add_floats(code: Code, stored: Value, row: Value, size: Value) -> None:
    def body(at: Value) -> None:
        total = code.builder.fadd(load_row(code, row, at), load_row(code, stored, at))
        code.store(total, place(code, row, at))

    code.each(size, body)


@compiled
def _add(table, number, row, size):
    stored = table.rows_at + number * table.row_bytes
    if table.bits == FULL:
        _add_floats(stored, row, size)
        return
    scale = floats_at(table.scale_at, number * table.scale_step + 1)[number * table.scale_step]
    if table.bits == 1:
        _add_1(stored, row, size, scale)
    elif table.bits == 2:
        _add_2(stored, row, size, scale)
    elif table.bits == 4:
        _add_4(stored, row, size, scale)
    else:
        _add_8(stored, row, size, scale)


@compiled
def embed(tables, ids, segments, first, last, x_at, hidden, weight_at, bias_at, epsilon):
    """x [S, hidden] = LayerNorm(word + segment + position), in this order, as transformers adds them.

    Of the tokens from `first` to before `last`.
    """
    for token in range(first, last):
        row = x_at + token * hidden * 4
        floats_at(row, hidden)[:] = 0
        _add(tables[WORD], ids[token], row, hidden)
        _add(tables[SEGMENT], segments[token], row, hidden)
        _add(tables[POSITION], token, row, hidden)
        normalize(row, weight_at, bias_at, hidden, epsilon)
