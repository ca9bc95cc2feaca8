"""Products of int8 activations with 1-bit weights by table look-up: no multiplication, 16 weights at a time.

A 16-bit word is 16 weights of one output. For 16 activations of one row the sums over every subset are put
into tables, of the first 6 (64 entries) and of two times 5 (32 entries each): the word's bits are three
indices into them, and three look-ups with three additions are 16 products. A processor with AVX-512BW looks
up 32 outputs in one instruction, which makes this faster than its int8 multipliers.

Layout. W: [N / 32, K / 16, 32] words, outputs in groups of 32; bit i of a word is input 16 k + i, set for +1.
T: [K / 16 of a chunk, rows, 4, 32] shorts. Sums are shorts within a chunk of 256 inputs, at most
256 * 127 = 32 512 for activations of at most 127, and ints over chunks: exact.

The product is over set bits; `y = 2 * product - sum of the row's activations` is the product with {-1, +1}.
"""

from typing import Any

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.memory_order import CHUNK
from bitladder.runtime.kernels.memory_order import LOOKUP_GROUP as GROUP
from bitladder.runtime.kernels.memory_order import LOOKUP_LANES as LANES
from bitladder.runtime.kernels.memory_order import TABLES_SIZE as TABLES
from bitladder.runtime.kernels.vector_ir import BYTES, I16, INTS, SHORTS, Code, Value, instruction

_INDEX_BITS = ((0, 0), (6, 2), (11, 3))  # where an index begins in the word, its first table
_ROWS, _VECTORS = 4, 4  # of the tile that is kept in registers


@instruction("void(uintp, uintp)")
def build_tables(code: Code, activations: Value, tables: Value) -> None:
    """From 16 int8 activations their four tables; entry i has the sum of those whose bit is set in i.

    vpmaddubsw multiplies pairs of activations with pairs of index bits and adds them: two activations, all
    32 entries in one instruction.
    """

    def sums(first: int, bit_of_first: int | None, bit_of_second: int | None, high: int = 0) -> Value:
        pair = code.splat(code.load(code.at(activations, first), I16), LANES)
        used = [_bit(i | high << 5, bit) for i in range(LANES) for bit in (bit_of_first, bit_of_second)]
        bits = code.constant(BYTES, used)
        signed = code.builder.bitcast(pair, BYTES)
        return code.call("llvm.x86.avx512.pmaddubs.w.512", SHORTS, bits, signed)

    add = code.builder.add
    four = add(sums(0, 0, 1), sums(2, 2, 3))
    found = (
        add(four, sums(4, 4, 5)),
        add(four, sums(4, 4, 5, high=1)),
        add(add(sums(6, 0, 1), sums(8, 2, 3)), sums(10, 4, None)),
        add(add(sums(11, 0, 1), sums(13, 2, 3)), sums(14, None, 4)),
    )
    for number, table in enumerate(found):
        code.store(table, code.at(tables, number * 64), align=64)


def _bit(index: int, bit: int | None) -> int:
    return 0 if bit is None else index >> bit & 1


def _tile(rows: int, vectors: int) -> Any:
    """The sums of `rows` rows with `vectors` times 32 outputs over one chunk, stored or added."""

    @instruction("void(uintp, uintp, intp, intp, uintp, intp, intp)")
    def tile(code, tables, weights, weights_stride, num_words, sums, sums_stride, is_first):
        def word(at: Value, totals: list[Value]) -> list[Value]:
            words = [
                code.load(code.at(weights, code.times(weights_stride, c), code.times(at, 64)), SHORTS)
                for c in range(vectors)
            ]
            for begin, first in _INDEX_BITS:
                shift = code.constant(SHORTS, begin)
                indices = [code.builder.lshr(w, shift) for w in words] if begin else words
                for row in range(rows):
                    table = code.at(tables, code.times(at, rows * TABLES), row * TABLES + first * 64)
                    for c in range(vectors):
                        found = _look_up(code, table, indices[c], wide=begin == 0)
                        totals[row * vectors + c] = code.builder.add(totals[row * vectors + c], found)
            return totals

        nothing = [code.constant(SHORTS, 0)] * (rows * vectors)
        totals = code.loop(num_words, 1, nothing, word)
        _store(code, totals, vectors, sums, sums_stride, is_first)

    return tile


def _look_up(code: Code, table: Value, indices: Value, *, wide: bool) -> Value:
    """Of 64 entries (two tables) or of 32; the instructions ignore an index's higher bits."""
    low = code.load(table, SHORTS, align=64)
    if not wide:
        return code.call("llvm.x86.avx512.permvar.hi.512", SHORTS, low, indices)
    high = code.load(code.at(table, 64), SHORTS, align=64)
    return code.call("llvm.x86.avx512.vpermi2var.hi.512", SHORTS, low, indices, high)


def _store(
    code: Code, totals: list[Value], vectors: int, sums: Value, stride: Value, is_first: Value
) -> None:
    """Widen the shorts to ints and store them, or add them to what is there."""
    builder = code.builder
    fresh = builder.icmp_signed("!=", is_first, code.whole(0))
    none, everything = code.constant(INTS.element, 0), code.constant(INTS.element, -1)
    keep = code.splat(builder.select(fresh, none, everything), INTS.count)
    for number, total in enumerate(totals):
        row, vector = divmod(number, vectors)
        for half in range(2):
            lanes = range(half * 16, half * 16 + 16)
            wide = builder.sext(code.shuffle(total, lanes), INTS)
            place = code.at(sums, code.times(stride, row * 4), vector * 128 + half * 64)
            code.store(builder.add(wide, builder.and_(keep, code.load(place, INTS))), place)


_tile_44, _tile_41 = _tile(_ROWS, _VECTORS), _tile(_ROWS, 1)
_tile_14, _tile_11 = _tile(1, _VECTORS), _tile(1, 1)


@compiled
def multiply(codes, weights, sums, tables, num_rows, num_outputs, num_inputs):
    """sums [M, N] int32 of codes [M, K] int8 over the set bits of weights, see products.py.

    tables: room for CHUNK * 4 * TABLES bytes. K is a multiple of 16, N of 32.
    """
    words, groups = num_inputs // GROUP, num_outputs // LANES
    for first in range(0, words, CHUNK):
        size, is_first = min(CHUNK, words - first), int(first == 0)
        row = 0
        while row < num_rows:
            rows = 4 if num_rows - row >= 4 else 1
            for word in range(size):
                for r in range(rows):
                    source = codes + (row + r) * num_inputs + (first + word) * GROUP
                    build_tables(source, tables + (word * rows + r) * TABLES)
            group = 0
            while group < groups:
                place = weights + (group * words + first) * 64
                target = sums + (row * num_outputs + group * LANES) * 4
                if groups - group >= 4:
                    if rows == 4:
                        _tile_44(tables, place, words * 64, size, target, num_outputs, is_first)
                    else:
                        _tile_14(tables, place, words * 64, size, target, num_outputs, is_first)
                    group += 4
                else:
                    if rows == 4:
                        _tile_41(tables, place, words * 64, size, target, num_outputs, is_first)
                    else:
                        _tile_11(tables, place, words * 64, size, target, num_outputs, is_first)
                    group += 1
            row += rows
