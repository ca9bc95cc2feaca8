"""Products of floats, for attention's context: probabilities weigh values, and neither has few bits."""

from typing import Any

from bitladder.runtime.kernels.compiling import compiled
from bitladder.runtime.kernels.vector_ir import F32, FLOATS, LANES, Value, instruction

_ROWS = 6


def _tile(rows: int, vectors: int) -> Any:
    @instruction("void(uintp, intp, uintp, intp, uintp, intp, uintp, intp)")
    def tile(code, first, first_stride, second, second_stride, factors, size, product, product_stride):
        """product [rows, N] = first [rows, size] @ second [size, N] * factors [rows], N = 16 * vectors."""

        def term(at: Value, totals: list[Value]) -> list[Value]:
            row_of_second = code.at(second, code.times(second_stride, code.times(at, 4)))
            found = [code.load(code.at(row_of_second, c * LANES * 4), FLOATS) for c in range(vectors)]
            for row in range(rows):
                place = code.at(first, code.times(first_stride, row * 4), code.times(at, 4))
                factor = code.splat(code.load(place, F32), LANES)
                for c in range(vectors):
                    number = row * vectors + c
                    totals[number] = code.fused(factor, found[c], totals[number])
            return totals

        totals = code.loop(size, 1, [code.floats(0.0)] * (rows * vectors), term)
        for number, total in enumerate(totals):
            row, c = divmod(number, vectors)
            factor = code.splat(code.load(code.at(factors, row * 4), F32), LANES)
            place = code.at(product, code.times(product_stride, row * 4), c * LANES * 4)
            code.store(code.builder.fmul(total, factor), place)

    return tile


_tile_64, _tile_62, _tile_61 = _tile(_ROWS, 4), _tile(_ROWS, 2), _tile(_ROWS, 1)
_tile_14, _tile_12, _tile_11 = _tile(1, 4), _tile(1, 2), _tile(1, 1)


@compiled
def multiply(
    first, first_stride, second, second_stride, factors, product, product_stride, num_rows, num_columns, size
):
    """product [M, N] = first [M, size] @ second [size, N] * factors [M], N a multiple of 16."""
    row = 0
    while row < num_rows:
        rows, column = 6 if num_rows - row >= 6 else 1, 0
        a, f = first + row * first_stride * 4, factors + row * 4
        while column < num_columns:
            left = num_columns - column
            width = 64 if left >= 64 else 32 if left >= 32 else 16
            b, c = second + column * 4, product + (row * product_stride + column) * 4
            if rows == 6:
                if width == 64:
                    _tile_64(a, first_stride, b, second_stride, f, size, c, product_stride)
                elif width == 32:
                    _tile_62(a, first_stride, b, second_stride, f, size, c, product_stride)
                else:
                    _tile_61(a, first_stride, b, second_stride, f, size, c, product_stride)
            elif width == 64:
                _tile_14(a, first_stride, b, second_stride, f, size, c, product_stride)
            elif width == 32:
                _tile_12(a, first_stride, b, second_stride, f, size, c, product_stride)
            else:
                _tile_11(a, first_stride, b, second_stride, f, size, c, product_stride)
            column += width
        row += rows
