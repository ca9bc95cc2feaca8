"""Write vector instructions from Python: a thin layer over llvmlite, for kernels that numba compiles.

LLVM vectorizes plain loops to a quarter of what the processor can do here, and numba has no look-up,
popcount or int8 dot product of its own. So the innermost loops are written as LLVM's vector language, which
is the same for every processor except for the few instructions that are called by name.

    @instruction("void(uintp, intp)")
    def clear(code, address, size):
        def body(at):
            code.store(code.constant(INTS, 0), code.at(address, code.times(at, 4)))
        code.each(size, body)

A kernel is a function of addresses and sizes: nothing is checked here, the callers keep to the layouts.
"""

import inspect
import struct
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core.sigutils import normalize_signature
from numba.extending import intrinsic

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F32 = ir.FloatType()
LANES = 16  # 32-bit numbers in a vector of 512 bits; LLVM halves it for processors that have 256
SIDE_BY_SIDE = 4  # vectors that a loop over a row works on at a time
BYTES = ir.VectorType(I8, 64)
SHORTS = ir.VectorType(I16, 32)
INTS = ir.VectorType(I32, LANES)
WORDS = ir.VectorType(I64, 8)
FLOATS = ir.VectorType(F32, LANES)

Value = Any  # llvmlite has no types


class Code:
    """The instructions of one kernel, in the order they are asked for."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def at(self, address: Value, *offsets: Value | int) -> Value:
        """address + offsets, in bytes."""
        for offset in offsets:
            address = self.builder.add(address, self.whole(offset))
        return address

    def times(self, first: Value, second: Value | int) -> Value:
        return self.builder.mul(first, self.whole(second))

    def whole(self, value: Value | int) -> Value:
        return ir.Constant(I64, value) if isinstance(value, int) else value

    def constant(self, kind: ir.Type, value: float | Sequence[float]) -> Value:
        """A scalar, or a vector of the values given or of one value everywhere."""
        if not isinstance(kind, ir.VectorType):
            return ir.Constant(kind, value)
        return ir.Constant(kind, list(value) if isinstance(value, Sequence) else [value] * kind.count)

    def load(self, address: Value, kind: ir.Type, *, align: int = 1) -> Value:
        found = self.builder.load(self.builder.inttoptr(address, kind.as_pointer()))
        found.align = align
        return found

    def store(self, value: Value, address: Value, *, align: int = 1) -> None:
        done = self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()))
        done.align = align

    def splat(self, scalar: Value, lanes: int) -> Value:
        """A vector that has the scalar in every lane."""
        kind = ir.VectorType(scalar.type, lanes)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
        return self.shuffle(one, [0] * lanes)

    def shuffle(self, vector: Value, lanes: Sequence[int], other: Value | None = None) -> Value:
        """The lanes of `vector` (then those of `other`) that are named."""
        chosen = ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))
        return self.builder.shuffle_vector(vector, vector if other is None else other, chosen)

    def floats(self, value: float) -> Value:
        """One number in every lane, rounded to float32 as llvmlite wants it."""
        return self.constant(FLOATS, struct.unpack("f", struct.pack("f", value))[0])

    def fused(self, first: Value, second: Value, third: Value) -> Value:
        """first * second + third, rounded once."""
        return self.call("llvm.fma.v16f32", FLOATS, first, second, third)

    def larger(self, first: Value, second: Value) -> Value:
        """One instruction, which LLVM's own maximum is not: that asks about NaN."""
        return self.builder.select(self.builder.fcmp_ordered(">", first, second), first, second)

    def smaller(self, first: Value, second: Value) -> Value:
        return self.builder.select(self.builder.fcmp_ordered("<", first, second), first, second)

    def magnitude(self, x: Value) -> Value:
        return self.call("llvm.fabs.v16f32", FLOATS, x)

    def rounded(self, x: Value) -> Value:
        """To the nearest whole number, halves to the even one, as ints."""
        return self.call("llvm.lrint.v16i32.v16f32", INTS, x)

    def whole_floats(self, x: Value) -> Value:
        """The same, as floats."""
        return self.call("llvm.rint.v16f32", FLOATS, x)

    def times_power(self, x: Value, power: Value) -> Value:
        """x * 2^power, of whole floats from -127 to 127; 0 at -127, where 2^power is no usual float."""
        biased = self.builder.add(self.builder.fptosi(power, INTS), self.constant(INTS, 127))
        factor = self.builder.shl(biased, self.constant(INTS, 23))
        return self.builder.fmul(x, self.builder.bitcast(factor, FLOATS))

    def largest(self, x: Value) -> Value:
        return self._folded(x, self.larger)

    def sum(self, x: Value) -> Value:
        """Halves added until one is left: the same order, so the same float, on every processor."""
        return self._folded(x, self.builder.fadd)

    def _folded(self, x: Value, join: Callable[[Value, Value], Value]) -> Value:
        while x.type.count > 1:
            half = x.type.count // 2
            x = join(self.shuffle(x, range(half)), self.shuffle(x, range(half, 2 * half)))
        return self.builder.extract_element(x, ir.Constant(I32, 0))

    def sum_of_ints(self, x: Value) -> Value:
        return self.call("llvm.vector.reduce.add.v16i32", I32, x)

    def narrow(self, words: Value) -> Value:
        """64-bit lanes as 32-bit ones."""
        return self.builder.trunc(words, ir.VectorType(I32, words.type.count))

    def call(self, name: str, returns: ir.Type, *arguments: Value, **options: Any) -> Value:
        """One of LLVM's named instructions."""
        kind = ir.FunctionType(returns, [argument.type for argument in arguments])
        known = self.builder.module.globals
        function = known[name] if name in known else ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, arguments, **options)

    def loop(
        self,
        size: Value,
        step: int,
        first: Sequence[Value],
        body: Callable[[Value, list[Value]], list[Value]],
        *,
        begin: Value | int = 0,
    ) -> list[Value]:
        """`for at in range(begin, size, step): values = body(at, values)`; the last values."""
        builder, before = self.builder, self.builder.block
        test, inside, after = (builder.append_basic_block(name) for name in ("loop", "inside", "after"))
        builder.branch(test)
        builder.position_at_end(test)
        at = builder.phi(I64)
        at.add_incoming(self.whole(begin), before)
        values = [builder.phi(value.type) for value in first]
        for value, start in zip(values, first, strict=True):
            value.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed("<", at, size), inside, after)
        builder.position_at_end(inside)
        found = body(at, list(values))
        at.add_incoming(builder.add(at, ir.Constant(I64, step)), builder.block)
        for value, new in zip(values, found, strict=True):
            value.add_incoming(new, builder.block)
        builder.branch(test)
        builder.position_at_end(after)
        return values

    def each(self, size: Value, body: Callable[[Value], None]) -> None:
        """`for at in range(0, size, LANES): body(at)`."""

        def step(at: Value, _: list[Value]) -> list[Value]:
            body(at)
            return []

        self.totals(size, [], step)

    def totals(
        self, size: Value, first: Sequence[Value], body: Callable[[Value, list[Value]], list[Value]]
    ) -> list[list[Value]]:
        """The same with values, four steps side by side while there are so many: four lists of last values.

        Each of the four has values of its own, so that no step waits for the one before.
        """
        count = len(first)
        several = self.builder.and_(size, self.whole(-SIDE_BY_SIDE * LANES))

        def steps(at: Value, values: list[Value]) -> list[Value]:
            parts = [values[i * count : (i + 1) * count] for i in range(SIDE_BY_SIDE)]
            return [new for i, part in enumerate(parts) for new in body(self.at(at, i * LANES), part)]

        found = self.loop(several, SIDE_BY_SIDE * LANES, list(first) * SIDE_BY_SIDE, steps)
        found[:count] = self.loop(size, LANES, found[:count], body, begin=several)
        return [found[i * count : (i + 1) * count] for i in range(SIDE_BY_SIDE)]

    def total(
        self,
        size: Value,
        first: Value,
        body: Callable[[Value, Value], Value],
        join: Callable[[Value, Value], Value],
    ) -> Value:
        """The same with one value, the four joined by twos."""
        one, two, three, four = (
            part[0] for part in self.totals(size, [first], lambda at, value: [body(at, value[0])])
        )
        return join(join(one, two), join(three, four))


def instruction(signature: str) -> Callable[[Callable[..., Value | None]], Any]:
    """A function for numba code, made of `body(code, *arguments)`, which returns its result or None.

    Args:
        signature: as numba writes it; addresses are `uintp`, sizes `intp`.
    """
    arguments, returns = normalize_signature(signature)
    kind = returns(*arguments)

    def made(body: Callable[..., Value | None]) -> Any:
        def typed(_: Any, *given: Any) -> tuple[Any, Callable[..., Any]]:
            return kind, generate

        def generate(target: Any, builder: ir.IRBuilder, _: Any, arguments: Sequence[Value]) -> Any:
            found = body(Code(builder), *arguments)
            return target.get_dummy_value() if found is None else found

        typed.__name__ = body.__name__
        typed.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]  # numba counts arguments
        return intrinsic(typed)

    return made
