"""The few instructions in which processors differ: products of bytes, added up by fours.

Each set of instructions says how it multiplies 64 weights (16 outputs, 4 inputs each) by 4 activations of one
row, and keeps the sums of 16 outputs in as many registers as it needs. All else is dot_products.py's.

Activations are int8 from -127 to 127. Weights are bytes: of 1 bit 0 and 1, of 2 bits 0 to 2, of 4 bits 1 to
15, of 8 bits what `raised` makes of -127 to 127.
"""

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import binding, ir

from bitladder.runtime.kernels.vector_ir import I8, I16, I32, Code, Value

FOREVER = 1 << 40
_TAKES_BYTES = binding.llvm_version_info >= (22, 0, 0)


@dataclass(frozen=True)
class Instructions:
    """One way to multiply.

    Attributes:
        rows: of a tile, whose sums are kept in registers; then of the tiles for what is left of a block.
        vectors: of 16 outputs, side by side in a tile.
        start: the sums of 16 outputs, at first.
        spread: four activations of a row, as `add` wants them.
        add: sums, activations, weights to new sums.
        total: of sums the 16 numbers.
        groups: of 4 inputs, after which `total` is taken and begun anew: before the sums overflow.
    """

    rows: tuple[int, ...]
    vectors: int
    start: Callable[[Code], list[Value]]
    spread: Callable[[Code, Value], Value]
    add: Callable[[Code, list[Value], Value, Value], list[Value]]
    total: Callable[[Code, list[Value]], Value]
    groups: int = FOREVER


def _ints(parts: int, lanes: int) -> Callable[[Code], list[Value]]:
    kind = ir.VectorType(I32, lanes)
    return lambda code: [code.constant(kind, 0)] * parts


def _splat(lanes: int) -> Callable[[Code, Value], Value]:
    """Four activations again and again, in a vector of so many bytes."""

    def spread(code: Code, four: Value) -> Value:
        return code.builder.bitcast(code.splat(four, lanes // 4), ir.VectorType(I8, lanes))

    return spread


def _parts(code: Code, weights: Value, count: int) -> list[Value]:
    lanes = 64 // count
    return [code.shuffle(weights, range(n * lanes, (n + 1) * lanes)) for n in range(count)]


def _joined(code: Code, totals: list[Value]) -> Value:
    while len(totals) > 1:
        lanes = 2 * totals[0].type.count
        totals = [code.shuffle(a, range(lanes), b) for a, b in zip(totals[::2], totals[1::2], strict=True)]
    return totals[0]


def _vpdpbusd(code: Code, total: Value, weights: Value, activations: Value) -> Value:
    """AVX-512 VNNI, or AVX-VNNI: 4 products and their sum in each lane, with the lane's old number."""
    lanes = total.type.count
    name = f"llvm.x86.avx512.vpdpbusd.{lanes * 32}"
    if not _TAKES_BYTES:
        weights, activations = (code.builder.bitcast(x, total.type) for x in (weights, activations))
    return code.call(name, total.type, total, weights, activations)


def _vnni(parts: int) -> Callable[[Code, list[Value], Value, Value], list[Value]]:
    def add(code: Code, totals: list[Value], activations: Value, weights: Value) -> list[Value]:
        pairs = zip(totals, _parts(code, weights, parts), strict=True)
        return [_vpdpbusd(code, total, part, activations) for total, part in pairs]

    return add


VNNI_512 = Instructions((8, 4, 1), 3, _ints(1, 16), _splat(64), _vnni(1), _joined)
VNNI_256 = Instructions((6, 2, 1), 1, _ints(2, 8), _splat(32), _vnni(2), _joined)

_BYTES32, _SHORTS16, _INTS8 = ir.VectorType(I8, 32), ir.VectorType(I16, 16), ir.VectorType(I32, 8)


def _pairs(code: Code, weights: Value, activations: Value) -> Value:
    """AVX2: unsigned times signed bytes, two products in each short; saturates where callers do not mind."""
    return code.call("llvm.x86.avx2.pmadd.ub.sw", _SHORTS16, weights, activations)


def _wide(code: Code, shorts: Value) -> Value:
    """Pairs of shorts, added."""
    return code.call("llvm.x86.avx2.pmadd.wd", _INTS8, shorts, code.constant(_SHORTS16, 1))


def _add_shorts(code: Code, totals: list[Value], activations: Value, weights: Value) -> list[Value]:
    found = [_pairs(code, part, activations) for part in _parts(code, weights, 2)]
    return [code.builder.add(total, pair) for total, pair in zip(totals, found, strict=True)]


def _add_wide(code: Code, totals: list[Value], activations: Value, weights: Value) -> list[Value]:
    found = [_wide(code, _pairs(code, part, activations)) for part in _parts(code, weights, 2)]
    return [code.builder.add(total, four) for total, four in zip(totals, found, strict=True)]


def _add_signed(code: Code, totals: list[Value], activations: Value, weights: Value) -> list[Value]:
    """Signs of the activations go to the weights: two products are at most 2 * 127 * 127, which is a
    short."""
    magnitudes = code.call("llvm.abs.v32i8", _BYTES32, activations, ir.Constant(ir.IntType(1), 0))
    found = []
    for total, part in zip(totals, _parts(code, weights, 2), strict=True):
        signed = code.call("llvm.x86.avx2.psign.b", _BYTES32, part, activations)
        found.append(code.builder.add(total, _wide(code, _pairs(code, magnitudes, signed))))
    return found


def _avx2(bits: int) -> Instructions:
    if bits in (1, 2):
        # A short has room for 128 pairs of at most 127 + 127, or 64 of twice that.
        return Instructions(
            (4, 2, 1),
            1,
            lambda code: [code.constant(_SHORTS16, 0)] * 2,
            _splat(32),
            _add_shorts,
            lambda code, totals: _joined(code, [_wide(code, total) for total in totals]),
            groups=128 // bits,
        )
    add = _add_signed if bits == 8 else _add_wide
    return Instructions((4, 2, 1), 1, _ints(2, 8), _splat(32), add, _joined)


def _add_plain(code: Code, totals: list[Value], activations: Value, weights: Value) -> list[Value]:
    """LLVM's own language: 16-bit numbers, of which even and odd ones are multiplied and added as ints."""
    builder, shorts, ints = code.builder, ir.VectorType(I16, 16), ir.VectorType(I32, 8)
    found = []
    for total, part in zip(totals, _parts(code, weights, 4), strict=True):
        wide = [builder.sext(x, shorts) for x in (part, activations)]
        even, odd = (
            builder.mul(*(builder.sext(code.shuffle(x, range(first, 16, 2)), ints) for x in wide))
            for first in (0, 1)
        )
        found.append(builder.add(total, builder.add(even, odd)))
    return found


def _plain_total(code: Code, totals: list[Value]) -> Value:
    """Pairs of neighbours, added."""
    whole = _joined(code, totals)
    return code.builder.add(*(code.shuffle(whole, range(first, 32, 2)) for first in (0, 1)))


_BYTES16, _SHORTS8, _INTS4 = ir.VectorType(I8, 16), ir.VectorType(I16, 8), ir.VectorType(I32, 4)


def _add_sdot(code: Code, totals: list[Value], activations: Value, weights: Value) -> list[Value]:
    """Arm's dotprod: 4 products and their sum in each lane, with the lane's old number."""
    name = "llvm.aarch64.neon.sdot.v4i32.v16i8"
    parts = zip(totals, _parts(code, weights, 4), strict=True)
    return [code.call(name, _INTS4, total, part, activations) for total, part in parts]


def _add_neon(code: Code, totals: list[Value], activations: Value, weights: Value) -> list[Value]:
    """Any 64-bit Arm: products of bytes are shorts (smull), which are added to ints by twos (sadalp)."""
    builder, found = code.builder, []
    halves = [code.shuffle(weights, range(first, first + 8)) for first in range(0, 64, 8)]
    four = builder.sext(code.shuffle(activations, range(8)), _SHORTS8)
    for total, half in zip(totals, halves, strict=True):
        shorts = builder.mul(builder.sext(half, _SHORTS8), four)
        found.append(builder.add(total, code.call("llvm.aarch64.neon.saddlp.v4i32.v8i16", _INTS4, shorts)))
    return found


DOTPROD = Instructions((6, 2, 1), 1, _ints(4, 4), _splat(16), _add_sdot, _joined)
NEON = Instructions((2, 1), 1, _ints(8, 4), _splat(16), _add_neon, _plain_total)
PLAIN = Instructions((2, 1), 1, _ints(4, 8), _splat(16), _add_plain, _plain_total)
AVX2 = {bits: _avx2(bits) for bits in (1, 2, 4, 8)}
