"""The machine code of one engine's product, and how the rest of the kernels calls it.

    multiply(codes, weights, sums, scratch, M, N, K)

sums [M, N] int32 of codes [M, K] and weights, all addresses: the product of codes with the numbers that are
stored, not yet with the codes that those stand for (structs.PLACE has what is left to do). Codes are int8 but
for counting, where they are bits, and exact.py, where they and the sums are float32; weights lie as
memory_order.py says; scratch is on a multiple of 64.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from bitladder.runtime.kernels import amx, dot_products, exact, i8mm, instructions, lookup, popcount
from bitladder.runtime.kernels.vector_ir import I8, I32, I64, instruction

NUM_ARGUMENTS = 7  # of `multiply`
_MADE: dict[str, Callable[[int], Any]] = {
    "amx": amx.product,
    "avx512_vnni": lambda bits: dot_products.product(instructions.VNNI_512, bits),
    "avx_vnni": lambda bits: dot_products.product(instructions.VNNI_256, bits),
    "avx2": lambda bits: dot_products.product(instructions.AVX2[bits], bits),
    "i8mm": i8mm.product,
    "dotprod": lambda bits: dot_products.product(instructions.DOTPROD, bits),
    "neon": lambda bits: dot_products.product(instructions.NEON, bits),
    "plain": lambda bits: dot_products.product(instructions.PLAIN, bits),
    "lookup": lambda bits: lookup.multiply,
    "exact": exact.product,
    "differing": lambda bits: popcount.count_differing,
    "common": lambda bits: popcount.count_common,
}


def made(name: str, bits: int) -> Any:
    """`multiply` of that name for weights of so many bits, not yet compiled."""
    return _MADE[name](bits)


@instruction(f"void({'uintp, ' * 5}intp, intp, intp)")
def call(code, multiply, codes, weights, sums, scratch, num_rows, num_outputs, num_inputs):
    """Machine code of compiling.object_file's, at an address."""
    pointer = I8.as_pointer()
    kind = ir.FunctionType(I32, [pointer, pointer, *[I64] * NUM_ARGUMENTS])
    # Where it would put its result and what it raised: it has neither.
    place = code.builder.inttoptr(scratch, pointer)
    function = code.builder.inttoptr(multiply, kind.as_pointer())
    code.builder.call(
        function, [place, place, codes, weights, sums, scratch, num_rows, num_outputs, num_inputs]
    )
