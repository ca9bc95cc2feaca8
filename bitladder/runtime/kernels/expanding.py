"""Weights of few bits as bytes, a moment before they are multiplied: the same for every processor.

Layout. W: [N / 16, K / 4, 64 weights]; weight 4 j + i of the 64 is output j, input i. Of 8 bits they are
bytes. Of fewer bits b, the 64 weights of 8 / b groups of 4 inputs share 64 bytes: those of the first group
are the lowest bits of each. So one load gives 8 / b groups, by a shift and a mask each.
"""

from typing import Any

from llvmlite import ir

from bitladder.runtime.kernels.vector_ir import BYTES, I8, I32, SHORTS, Code, Value, instruction

_AHEAD = 4096  # bytes: what is asked for now is here when it is needed


def write_groups(code: Code, bits: int, weights: Value, expanded: Value) -> None:
    """64 stored bytes as 8 / bits times 64 bytes from 0 to 2^bits - 1."""
    builder, mask = code.builder, code.constant(BYTES, 2**bits - 1)
    stored = builder.bitcast(code.load(weights, BYTES), SHORTS)
    ahead = builder.inttoptr(code.at(weights, _AHEAD), I8.as_pointer())
    options = (ir.Constant(I32, number) for number in (0, 3, 1))  # to read, as near as there is, data
    code.call("llvm.prefetch.p0", ir.VoidType(), ahead, *options)
    for group in range(8 // bits):
        # No processor shifts bytes; what comes over from the next byte is masked away.
        shifted = builder.lshr(stored, code.constant(SHORTS, group * bits))
        found = builder.and_(builder.bitcast(shifted, BYTES), mask)
        code.store(found, code.at(expanded, group * 64), align=64)


def expanding(bits: int) -> Any:
    """`expand(weights, expanded, num_groups)`: the same for so many groups, a multiple of 8 / bits."""
    groups = 8 // bits

    @instruction("void(uintp, uintp, intp)")
    def expand(code: Code, weights: Value, expanded: Value, num_groups: Value) -> None:
        def several(at: Value, _: list[Value]) -> list[Value]:
            place = code.at(weights, code.times(at, 64 // groups))
            write_groups(code, bits, place, code.at(expanded, code.times(at, 64)))
            return []

        code.loop(num_groups, groups, [], several)

    return expand
