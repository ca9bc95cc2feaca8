"""What happens to a row of activations beside products: codes or bits of it, LayerNorm, and back to floats.

Rows are float32 of a size that is a multiple of 16. The arithmetic is that of the trained layers in
bitladder/modeling/linear.py, so that a code is the same whole number: a step divides, correctly rounded.
"""

from llvmlite import ir

from bitladder.runtime.kernels.vector_ir import (
    F32,
    FLOATS,
    I8,
    I16,
    I32,
    INTS,
    LANES,
    Code,
    Value,
    instruction,
)

_BYTES16 = ir.VectorType(I8, LANES)


def place(code: Code, address: Value, at: Value) -> Value:
    return code.at(address, code.times(at, 4))


def load_row(code: Code, address: Value, at: Value) -> Value:
    return code.load(place(code, address, at), FLOATS)


@instruction("float32(uintp, intp)")
def largest_magnitude(code: Code, row: Value, size: Value) -> Value:
    def body(at: Value, best: Value) -> Value:
        return code.larger(best, code.magnitude(load_row(code, row, at)))

    return code.largest(code.total(size, code.floats(0.0), body, code.larger))


@instruction("int32(uintp, uintp, intp, float32, float32, float32, float32)")
def quantize(code, row, codes, size, step, offset, low, high):
    """codes = round(clamp((row - offset) / step, low, high)), int8; their sum."""
    inverse = code.splat(code.builder.fdiv(code.constant(F32, 1.0), step), LANES)
    step, offset, low, high = (code.splat(x, LANES) for x in (step, offset, low, high))

    def body(at: Value, total: Value) -> Value:
        ratio = _quotient(code, code.builder.fsub(load_row(code, row, at), offset), step, inverse)
        found = code.rounded(code.smaller(code.larger(ratio, low), high))
        code.store(code.builder.trunc(found, _BYTES16), code.at(codes, at))
        return code.builder.add(total, found)

    return code.sum_of_ints(code.total(size, code.constant(INTS, 0), body, code.builder.add))


def _quotient(code: Code, x: Value, divisor: Value, inverse: Value) -> Value:
    """x / divisor, correctly rounded, without the slow instruction: x * inverse, and what that leaves.

    The remainder is exact in a fused multiplication, and makes good all that the two roundings before it
    took (Markstein 1990). Of 10^9 quotients none differed from the division's.
    """
    near = code.builder.fmul(x, inverse)
    rest = code.fused(code.builder.fneg(near), divisor, x)
    return code.fused(rest, inverse, near)


@instruction("int32(uintp, uintp, uintp, intp, float32, float32)")
def to_bits(
    code: Code, row: Value, shift: Value, bits: Value, size: Value, step: Value, threshold: Value
) -> Value:
    """Bit i is set where (row[i] - shift[i]) / step >= threshold; how many are.

    For {-1, +1} the threshold is 0 and the step 1, for {0, 1} a half and the step's own. Times either the
    step is exact, and what is below that product has a quotient that rounds to less: no division is needed.
    """
    bound = code.splat(code.builder.fmul(step, threshold), LANES)

    def body(at: Value, total: Value) -> Value:
        shifted = code.builder.fsub(load_row(code, row, at), load_row(code, shift, at))
        word = code.builder.bitcast(code.builder.fcmp_ordered(">=", shifted, bound), I16)
        code.store(word, code.at(bits, code.builder.lshr(at, code.whole(3))))
        return code.builder.add(total, code.builder.zext(code.call("llvm.ctpop.i16", I16, word), I32))

    return code.total(size, ir.Constant(I32, 0), body, code.builder.add)


def polynomial(code: Code, x: Value, factors: tuple[float, ...]) -> Value:
    found = code.floats(factors[0])
    for factor in factors[1:]:
        found = code.fused(found, x, code.floats(factor))
    return found


@instruction("void(uintp, uintp, uintp, intp, float32)")
def normalize(code: Code, row: Value, weight: Value, bias: Value, size: Value, epsilon: Value) -> None:
    """LayerNorm, in place: mean and variance in two passes."""
    builder = code.builder
    count = builder.sitofp(size, F32)

    def add(at: Value, total: Value) -> Value:
        return builder.fadd(total, load_row(code, row, at))

    total = code.total(size, code.floats(0.0), add, builder.fadd)
    mean = code.splat(builder.fdiv(code.sum(total), count), LANES)

    def square(at: Value, total: Value) -> Value:
        difference = builder.fsub(load_row(code, row, at), mean)
        return code.fused(difference, difference, total)

    squares = code.total(size, code.floats(0.0), square, builder.fadd)
    variance = builder.fdiv(code.sum(squares), count)
    root = code.call("llvm.sqrt.f32", F32, builder.fadd(variance, epsilon))
    inverse = code.splat(builder.fdiv(code.constant(F32, 1.0), root), LANES)

    def write(at: Value) -> None:
        unit = builder.fmul(builder.fsub(load_row(code, row, at), mean), inverse)
        code.store(
            code.fused(unit, load_row(code, weight, at), load_row(code, bias, at)), place(code, row, at)
        )

    code.each(size, write)


def exp(code: Code, x: Value) -> Value:
    """e^x for x <= 0: 2^whole times a polynomial in the rest (Cephes); 0 from -88.03 on."""
    x = code.larger(x, code.floats(-127 / 1.4426950408889634))
    whole = code.whole_floats(code.builder.fmul(x, code.floats(1.4426950408889634)))
    rest = code.fused(whole, code.floats(-0.693359375), x)
    rest = code.fused(whole, code.floats(2.12194440e-4), rest)
    factors = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
    tail = code.fused(code.builder.fmul(rest, rest), polynomial(code, rest, factors), rest)
    return code.times_power(code.builder.fadd(tail, code.floats(1.0)), whole)


@instruction("int32(uintp, uintp, uintp, intp)")
def to_signs(code: Code, row: Value, shift: Value, codes: Value, size: Value) -> Value:
    """codes = +1 where row >= shift, else -1, int8; their sum."""
    builder = code.builder

    def body(at: Value, total: Value) -> Value:
        is_set = builder.fcmp_ordered(">=", load_row(code, row, at), load_row(code, shift, at))
        sign = builder.select(is_set, code.constant(INTS, 1), code.constant(INTS, -1))
        code.store(builder.trunc(sign, _BYTES16), code.at(codes, at))
        return builder.add(total, sign)

    return code.sum_of_ints(code.total(size, code.constant(INTS, 0), body, builder.add))


@instruction("void(uintp, uintp, intp)")
def to_floats(code: Code, codes: Value, row: Value, size: Value) -> None:
    """row = codes, of int8."""
    builder = code.builder

    def body(at: Value) -> None:
        whole = builder.sext(code.load(code.at(codes, at), _BYTES16), INTS)
        code.store(builder.sitofp(whole, FLOATS), place(code, row, at))

    code.each(size, body)
