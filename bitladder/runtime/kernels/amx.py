"""Products of int8 activations with weights of 1, 2, 4 or 8 bits by Intel's tiles (AMX).

A tile is a register of 16 rows of 64 bytes. One instruction multiplies a tile of activations (16 rows, 64
inputs) with a tile of weights (64 inputs, 16 outputs, in the layout of expanding.py) and adds to a tile of
16 by 16 sums: 16,384 products. The weights of 32 outputs are expanded to bytes where they stay in the
nearest memory, and used for all rows of the block, so a block should be of many rows. While they are
multiplied, the processor's other units expand those of the next 32.

Rows up to the next multiple of 16 are read, and their sums written: the callers have room for them.
"""

from typing import Any

from llvmlite import ir

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.expanding import expanding, write_groups
from bitladder.runtime.kernels.memory_order import DOT_GROUP as GROUP
from bitladder.runtime.kernels.memory_order import DOT_LANES as LANES
from bitladder.runtime.kernels.vector_ir import BYTES, I8, Code, Value, instruction

_VOID = ir.VoidType()
_NEAR = 512  # at most so many inputs are multiplied before the next ones: 16 KiB of 32 outputs
_TILE = 1024  # bytes
_WHOLE = 64  # inputs of a tile; 32 or 16 where those do not divide


def _pointer(code: Code, address: Value) -> Value:
    return code.builder.inttoptr(address, I8.as_pointer())


def _number(tile: int) -> Value:
    return ir.Constant(I8, tile)


def _load(code: Code, tile: int, address: Value, stride: Value) -> None:
    code.call("llvm.x86.tileloadd64", _VOID, _number(tile), _pointer(code, address), stride)


def _configuration(inputs: int) -> list[int]:
    """Sums in tiles 0 to 3, activations in 4 and 5, weights in 6 and 7."""
    columns, rows = [0] * 32, [0] * 16
    for tile in range(8):
        columns[2 * tile] = inputs if tile in (4, 5) else 64
        rows[tile] = inputs // GROUP if tile in (6, 7) else 16
    return [1] + [0] * 15 + columns + rows


def _configuring(inputs: int) -> Any:
    @instruction("void(uintp)")
    def configure(code: Code, room: Value) -> None:
        """Say how large tiles are; `room`: 64 bytes for it."""
        code.store(code.constant(BYTES, _configuration(inputs)), room)
        code.call("llvm.x86.ldtilecfg", _VOID, _pointer(code, room))

    return configure


_configure_64, _configure_32, _configure_16 = (_configuring(inputs) for inputs in (_WHOLE, 32, 16))


@instruction("void()")
def _release(code: Code) -> None:
    """The tiles are nobody's again, and need not be kept when the thread is interrupted."""
    code.call("llvm.x86.tilerelease", _VOID)


def _tile(rows: int, vectors: int, expanded_bits: int = 0) -> Any:
    """Of 16 * rows rows and 16 * vectors outputs.

    With `expanded_bits` it also expands what is multiplied next, in the time that the tiles take: of each
    vector of outputs as many inputs, stored at `next_weights`, to bytes at `next_place`.
    """
    signature = "uintp, intp, uintp, intp, intp, intp, uintp, intp, intp, uintp, intp, uintp"

    @instruction(f"void({signature})")
    def tile(
        code, codes, stride, weights, weights_stride, num_tiles, inputs, sums, sums_stride, is_first,
        next_weights, next_stride, next_place,
    ):  # fmt: skip
        builder = code.builder
        ints_stride = code.times(sums_stride, 4)
        pairs = [(row, c) for row in range(rows) for c in range(vectors)]

        def target(row: int, c: int) -> Value:
            return code.at(sums, code.times(ints_stride, row * 16), c * 64)

        with builder.if_else(builder.icmp_signed("!=", is_first, code.whole(0))) as (then, otherwise):
            with then:
                for row, c in pairs:
                    code.call("llvm.x86.tilezero", _VOID, _number(row * 2 + c))
            with otherwise:
                for row, c in pairs:
                    _load(code, row * 2 + c, target(row, c), ints_stride)

        def multiply(at: Value, _: list[Value]) -> list[Value]:
            for c in range(vectors):
                offset = code.times(code.times(at, inputs), LANES)
                _load(code, 6 + c, code.at(weights, code.times(weights_stride, c), offset), code.whole(64))
            for row in range(rows):
                place = code.at(codes, code.times(stride, row * 16), code.times(at, inputs))
                _load(code, 4 + row, place, stride)
                for c in range(vectors):
                    numbers = (_number(row * 2 + c), _number(4 + row), _number(6 + c))
                    code.call("llvm.x86.tdpbssd", _VOID, *numbers)
            if expanded_bits:
                _expand_tiles(
                    code, expanded_bits, vectors, at, next_weights, next_stride, next_place, num_tiles
                )
            return []

        code.loop(num_tiles, 1, [], multiply)
        for row, c in pairs:
            place = _pointer(code, target(row, c))
            code.call("llvm.x86.tilestored64", _VOID, _number(row * 2 + c), place, ints_stride)

    return tile


def _expand_tiles(
    code: Code,
    bits: int,
    vectors: int,
    at: Value,
    weights: Value,
    stride: Value,
    place: Value,
    num_tiles: Value,
) -> None:
    """The tile of that number, of each vector of outputs; at the place they lie one after the other."""
    size = _TILE * bits // 8
    for c in range(vectors):
        source = code.at(weights, code.times(stride, c), code.times(at, size))
        target = code.at(place, code.times(num_tiles, c * _TILE), code.times(at, _TILE))
        for number in range(size // 64):
            write_groups(code, bits, code.at(source, number * 64), code.at(target, number * 64 * 8 // bits))


_tile_22, _tile_21, _tile_12, _tile_11 = _tile(2, 2), _tile(2, 1), _tile(1, 2), _tile(1, 1)


def product(bits: int) -> Any:
    """`multiply(codes, weights, sums, scratch, M, N, K)`, see products.py, for weights of so many bits.

    K is a multiple of 64, N of 32; at 8 bits of 16.
    """
    return _product_of_bytes if bits == 8 else _product_of_bits(bits)


@compiled
def _product_of_bytes(codes, weights, sums, scratch, num_rows, num_outputs, num_inputs):
    inputs = 64
    if num_inputs % 64 == 0:
        _configure_64(scratch)
    elif num_inputs % 32 == 0:
        inputs = 32
        _configure_32(scratch)
    else:
        inputs = 16
        _configure_16(scratch)
    vectors, vector, stride = num_outputs // LANES, 0, num_inputs * LANES
    while vector < vectors:
        width, row = 2 if vectors - vector >= 2 else 1, 0
        place = weights + vector * stride
        shape = (num_inputs, place, stride, num_inputs // inputs, inputs)
        while row < num_rows:
            source = codes + row * num_inputs
            last = (sums + (row * num_outputs + vector * LANES) * 4, num_outputs, 1, 0, 0, 0)
            if num_rows - row > 16:
                if width == 2:
                    _tile_22(source, *shape, *last)
                else:
                    _tile_21(source, *shape, *last)
                row += 32
            else:
                if width == 2:
                    _tile_12(source, *shape, *last)
                else:
                    _tile_11(source, *shape, *last)
                row += 16
        vector += width
    _release()


def _product_of_bits(bits: int) -> Any:
    expand = expanding(bits)
    many, few = _tile(2, 2, bits), _tile(1, 2, bits)  # these also expand

    @compiled
    def multiply(codes, weights, sums, scratch, num_rows, num_outputs, num_inputs):
        _configure_64(scratch)
        parts = (num_inputs + _NEAR - 1) // _NEAR
        while num_inputs % (parts * 64):
            parts += 1
        size = num_inputs // parts  # inputs that are multiplied before the next ones
        stride, near, tiles = num_inputs * LANES * bits // 8, size * LANES, size // 64
        place, other = scratch + 64, scratch + 64 + 2 * near
        for c in range(2):
            expand(weights + c * stride, place + c * near, size // GROUP)
        steps = num_outputs // (2 * LANES) * parts
        for step in range(steps):
            vector, part = step // parts * 2, step % parts
            is_last, following = step + 1 == steps, (step + 1) // parts * 2
            next_weights = weights + following * stride + (step + 1) % parts * near * bits // 8
            shape, row = (num_inputs, place, near, tiles, 64), 0
            while row < num_rows:
                source = codes + row * num_inputs + part * size
                target = sums + (row * num_outputs + vector * LANES) * 4
                last = (target, num_outputs, int(part == 0), next_weights, stride, other)
                is_plain = is_last or row > 0
                if num_rows - row > 16:
                    if is_plain:
                        _tile_22(source, *shape, *last)
                    else:
                        many(source, *shape, *last)
                    row += 32
                else:
                    if is_plain:
                        _tile_12(source, *shape, *last)
                    else:
                        few(source, *shape, *last)
                    row += 16
            place, other = other, place
        _release()

    return multiply
