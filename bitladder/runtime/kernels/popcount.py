"""Products of 1-bit activations with 1-bit weights: 64 in one exclusive or and one count of set bits.

Layout. Activations: [M, K / 64] words, bit i of word k is input 64 k + i, set for +1 (or for 1 of {0, 1}).
Weights: [N / 8, K / 64, 8] words, set for +1. K that is no multiple of 64 ends in zero bits in both.

With activations {-1, +1} the product is K - 2 * popcount(a ^ w); with {0, 1} it is 2 * popcount(a & w) less
the row's set bits. Here only bits are counted; the callers, who have what surrounds the product, do the rest.

Nothing but LLVM's generic vector language: the same source is right on every processor.
"""

from typing import Any

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.memory_order import COUNT_LANES as LANES
from bitladder.runtime.kernels.vector_ir import I64, WORDS, Value, instruction


def _tile(rows: int, vectors: int, *, differing: bool) -> Any:
    """Counts of bits that differ (or are set in both) of `rows` rows with `vectors` times 8 outputs."""

    @instruction("void(uintp, intp, uintp, intp, uintp, intp)")
    def tile(code, activations, num_words, weights, weights_stride, counts, counts_stride):
        def word(at: Value, totals: list[Value]) -> list[Value]:
            found = [
                code.load(code.at(weights, code.times(weights_stride, c), code.times(at, 64)), WORDS)
                for c in range(vectors)
            ]
            for row in range(rows):
                place = code.at(activations, code.times(num_words, row * 8), code.times(at, 8))
                own = code.splat(code.load(place, I64), LANES)
                for c in range(vectors):
                    bits = code.builder.xor(own, found[c]) if differing else code.builder.and_(own, found[c])
                    count = code.call("llvm.ctpop.v8i64", WORDS, bits)
                    totals[row * vectors + c] = code.builder.add(totals[row * vectors + c], count)
            return totals

        nothing = [code.constant(WORDS, 0)] * (rows * vectors)
        totals = code.loop(num_words, 1, nothing, word)
        for number, total in enumerate(totals):
            row, c = divmod(number, vectors)
            place = code.at(counts, code.times(counts_stride, row * 4), c * LANES * 4)
            code.store(code.narrow(total), place)

    return tile


def _counting(*, differing: bool) -> Any:
    """`count(bits, weights, counts, scratch, M, N, K)`, see products.py; N is a multiple of 8."""
    many, many_narrow = _tile(4, 4, differing=differing), _tile(4, 1, differing=differing)
    one, one_narrow = _tile(1, 4, differing=differing), _tile(1, 1, differing=differing)

    @compiled
    def count(bits, weights, counts, scratch, num_rows, num_outputs, num_inputs):
        words = (num_inputs + 63) // 64
        groups, stride, row = num_outputs // LANES, words * 64, 0
        while row < num_rows:
            rows = 4 if num_rows - row >= 4 else 1
            source, group = bits + row * words * 8, 0
            while group < groups:
                width = 4 if groups - group >= 4 else 1
                place = weights + group * stride
                target = counts + (row * num_outputs + group * LANES) * 4
                if rows == 4 and width == 4:
                    many(source, words, place, stride, target, num_outputs)
                elif rows == 4:
                    many_narrow(source, words, place, stride, target, num_outputs)
                elif width == 4:
                    one(source, words, place, stride, target, num_outputs)
                else:
                    one_narrow(source, words, place, stride, target, num_outputs)
                group += width
            row += rows

    return count


count_differing, count_common = _counting(differing=True), _counting(differing=False)
