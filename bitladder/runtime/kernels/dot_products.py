"""Products of int8 activations with weights of 1, 2, 4 or 8 bits by the processor's int8 dot products (VNNI).

One instruction multiplies 64 unsigned with 64 signed bytes and adds them by fours: 16 outputs, 4 inputs. The
weights are expanded to bytes in registers, just before; in memory they stay as small as they are.

Layout. W: [N / 16, K / 4, 64 weights]; weight 4 j + i of the 64 is output j, input i. As they are stored:
    1 bit    64 bits, set for +1; the product is over set bits, as in lookup.py
    2 bits   64 bits that are set for nonzero weights, then 64 that are set for negative ones
    4 bits   64 halves of bytes: weight i is the low half of byte i, weight 32 + i the high one; weight + 8
    8 bits   64 bytes
Activations are bytes, 128 more than their codes; the callers subtract 128 times each output's weight sum.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.memory_order import DOT_GROUP as GROUP
from bitladder.runtime.kernels.memory_order import DOT_LANES as LANES
from bitladder.runtime.kernels.vector_ir import BYTES, I1, I8, I32, I64, INTS, Code, Value, instruction

SIZE = {1: 8, 2: 16, 4: 32, 8: 64}  # bytes of 64 weights
_ROWS, _FEW, _VECTORS = 8, 4, 3  # a block's rows: weights are expanded once for it
_BITS = ir.VectorType(I1, 64)
_HALF = ir.VectorType(I8, 32)
_NAME = "llvm.x86.avx512.vpdpbusd.512"
_TAKES_BYTES = binding.llvm_version_info >= (22, 0, 0)


def _mask(code: Code, address: Value) -> Value:
    return code.builder.bitcast(code.load(address, I64), _BITS)


def _one_bit(code: Code, address: Value) -> Value:
    return code.builder.select(_mask(code, address), code.constant(BYTES, 1), code.constant(BYTES, 0))


def _two_bits(code: Code, address: Value) -> Value:
    negative = _mask(code, code.at(address, 8))
    signs = code.builder.select(negative, code.constant(BYTES, -1), code.constant(BYTES, 1))
    return code.builder.select(_mask(code, address), signs, code.constant(BYTES, 0))


def _four_bits(code: Code, address: Value) -> Value:
    both = code.load(address, _HALF)
    low = code.builder.and_(both, code.constant(_HALF, 15))
    high = code.builder.lshr(both, code.constant(_HALF, 4))
    return code.builder.sub(code.shuffle(low, range(64), high), code.constant(BYTES, 8))


def _eight_bits(code: Code, address: Value) -> Value:
    return code.load(address, BYTES)


def _tile(bits: int, expand: Callable[[Code, Value], Value], rows: int, vectors: int) -> Any:
    @instruction("void(uintp, intp, uintp, intp, intp, uintp, intp)")
    def tile(code, activations, activations_stride, weights, weights_stride, num_groups, sums, sums_stride):
        def group(at: Value, totals: list[Value]) -> list[Value]:
            offset = code.times(at, SIZE[bits])
            found = [
                expand(code, code.at(weights, code.times(weights_stride, c), offset)) for c in range(vectors)
            ]
            for row in range(rows):
                place = code.at(activations, code.times(activations_stride, row), code.times(at, GROUP))
                own = code.splat(code.load(place, I32), LANES)
                for c in range(vectors):
                    number = row * vectors + c
                    totals[number] = _add_dot_products(code, totals[number], own, found[c])
            return totals

        totals = code.loop(num_groups, 1, [code.constant(INTS, 0)] * (rows * vectors), group)
        for number, total in enumerate(totals):
            row, c = divmod(number, vectors)
            code.store(total, code.at(sums, code.times(sums_stride, row * 4), c * LANES * 4))

    return tile


def _add_dot_products(code: Code, totals: Value, activations: Value, weights: Value) -> Value:
    if _TAKES_BYTES:
        return code.call(_NAME, INTS, totals, code.builder.bitcast(activations, BYTES), weights)
    return code.call(_NAME, INTS, totals, activations, code.builder.bitcast(weights, INTS))


def _product(bits: int, expand: Callable[[Code, Value], Value]) -> Any:
    """`multiply(activations, weights, sums, M, N, K)` for weights of so many bits; all are addresses."""
    many, narrow = _tile(bits, expand, _ROWS, _VECTORS), _tile(bits, expand, _ROWS, 1)
    few, few_narrow = _tile(bits, expand, _FEW, _VECTORS), _tile(bits, expand, _FEW, 1)
    single, least = _tile(bits, expand, 1, _VECTORS), _tile(bits, expand, 1, 1)
    size = SIZE[bits]

    @compiled
    def multiply(activations, weights, sums, num_rows, num_outputs, num_inputs):
        groups, vectors = num_inputs // GROUP, num_outputs // LANES
        stride, vector = groups * size, 0
        while vector < vectors:
            width = _VECTORS if vectors - vector >= _VECTORS else 1
            place, row = weights + vector * stride, 0
            while row < num_rows:
                left = num_rows - row
                rows = _ROWS if left >= _ROWS else _FEW if left >= _FEW else 1
                source = activations + row * num_inputs
                target = sums + (row * num_outputs + vector * LANES) * 4
                if width == _VECTORS:
                    if rows == _ROWS:
                        many(source, num_inputs, place, stride, groups, target, num_outputs)
                    elif rows == _FEW:
                        few(source, num_inputs, place, stride, groups, target, num_outputs)
                    else:
                        single(source, num_inputs, place, stride, groups, target, num_outputs)
                elif rows == _ROWS:
                    narrow(source, num_inputs, place, stride, groups, target, num_outputs)
                elif rows == _FEW:
                    few_narrow(source, num_inputs, place, stride, groups, target, num_outputs)
                else:
                    least(source, num_inputs, place, stride, groups, target, num_outputs)
                row += rows
            vector += width

    return multiply


multiply_1, multiply_2 = _product(1, _one_bit), _product(2, _two_bits)
multiply_4, multiply_8 = _product(4, _four_bits), _product(8, _eight_bits)
