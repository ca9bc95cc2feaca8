"""A packed file's codes in a graph: they stand in it as they are, and a look-up makes of each byte what an
operator reads.

Of tables that look-up is made for the rows that are asked for, at each call; of matrices once, when the file
is loaded.

Shapes: O rows, I columns, B bytes per row of codes, W what a byte holds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitladder.exporting.graph import Graph
from bitladder.packed.codes import FIVE_TRITS, as_two_bits, codes_of_each_byte
from bitladder.packed.reading import Arrays
from bitladder.packed.schema import SCALE, Matrix
from bitladder.quantizers.precision import FULL


def halves(arrays: Arrays, matrix: Matrix) -> list[str]:
    """The name of a matrix or table, or of the two that it is a sum of."""
    return [
        f"{matrix.name}{half}" for half in ((".first", ".second") if arrays.config.precision.split else ("",))
    ]


def look_up(graph: Graph, arrays: Arrays, table: Matrix, which: str) -> str:
    """A table's rows [..., I], float32, of ids [...] of two dimensions."""
    if arrays.config.precision.embeddings == FULL:
        return graph.add("Gather", graph.constant(arrays.floats(f"{table.name}.weight")), which)
    found = [_look_up(graph, arrays, name, table.columns, which) for name in halves(arrays, table)]
    return found[0] if len(found) == 1 else graph.add("Add", *found)


def _look_up(graph: Graph, arrays: Arrays, name: str, columns: int, which: str) -> str:
    bits = arrays.config.stored_bits(arrays.config.precision.embeddings)
    stored, scale = arrays.bytes(name), arrays.floats(f"{name}{SCALE}")
    if bits == 8:
        codes = graph.cast(graph.add("Gather", graph.constant(stored.view(np.int8)), which), "float32")
    else:
        bytes_ = graph.cast(graph.add("Gather", graph.constant(stored), which), "int32")
        each = graph.constant(codes_of_each_byte(bits).astype(np.float32))
        codes = _cut(graph, graph.reshape(graph.add("Gather", each, bytes_), 0, 0, -1), columns)
    if len(scale) == 1:
        return graph.add("Mul", codes, graph.floats(scale))
    return graph.add("Mul", codes, graph.add("Gather", graph.floats(scale[:, None]), which))


def as_int8(graph: Graph, arrays: Arrays, name: str, columns: int) -> str:
    """A matrix's codes transposed, int8 [I, O], as MatMulInteger reads them."""
    codes_OI = _cut(graph, _unpacked(graph, *_stored(arrays, name), _as_they_are), columns)
    return graph.add("Transpose", codes_OI, perm=(1, 0))


def as_nbits(
    graph: Graph, arrays: Arrays, name: str, columns: int, *, bits: int, block: int, spare: int
) -> str:
    """A matrix's codes, uint8 [O, K, block * bits / 8], as MatMulNBits reads them: code c as c + 2^(bits-1).

    Args:
        bits: of a code there, at least as many as in the file.
        block: codes of one; K of them take all columns.
        spare: codes at the end of each block that are left out, and are 0; a multiple of 4.
    """
    stored, stored_bits = _stored(arrays, name)
    if stored_bits == FIVE_TRITS:
        stored, stored_bits = as_two_bits(stored, columns), 2
    in_block, spare_bytes = (block - spare) * bits // 8, spare * bits // 8
    bytes_OB = _unpacked(graph, stored, stored_bits, lambda codes: _shifted(codes, bits))
    num_blocks = -(-columns // (block - spare))
    num_bytes = stored.shape[1] * codes_of_each_byte(stored_bits).shape[1] * bits // 8
    bytes_OB = _padded(graph, bytes_OB, num_blocks * in_block - num_bytes, 0)
    blocks = graph.reshape(bytes_OB, 0, num_blocks, in_block)
    return _padded(graph, blocks, spare_bytes, int(_shifted(np.zeros(8, np.int8), bits)[0]))


def scale(graph: Graph, arrays: Arrays, name: str, rows: int) -> str:
    """Of each output, float32 [O]."""
    found = arrays.floats(f"{name}{SCALE}")
    return graph.floats(found if len(found) == rows else np.broadcast_to(found, rows))


def sums(arrays: Arrays, name: str) -> NDArray[np.float32]:
    """Of each row's codes times its scale, [O]."""
    sums_O = arrays.codes(name).sum(axis=1, dtype=np.int32).astype(np.float32)
    return np.asarray(sums_O * arrays.floats(f"{name}{SCALE}"), np.float32)


def _stored(arrays: Arrays, name: str) -> tuple[NDArray[np.uint8], float]:
    return arrays.bytes(name), arrays.config.stored_bits(arrays.config.precision.weights)


def _unpacked(
    graph: Graph,
    stored_OB: NDArray[np.uint8],
    bits: float,
    as_read: Callable[[NDArray[np.int8]], NDArray[Any]],
) -> str:
    """[O, B * W]: what `as_read` makes of the codes of each byte."""
    each = as_read(codes_of_each_byte(bits))
    if each.shape[1] == 1:  # no smaller in the file
        return graph.constant(each[stored_OB, 0])
    found = graph.add("Gather", graph.constant(each), graph.cast(graph.constant(stored_OB), "int32"))
    return graph.reshape(found, 0, -1)


def _as_they_are(codes: NDArray[np.int8]) -> NDArray[np.int8]:
    return codes


def _shifted(codes: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """Codes [..., W] as MatMulNBits has them: [..., W * bits / 8], the first in the lowest bits."""
    fields = (codes.astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8)
    of_bytes = fields.reshape(*codes.shape[:-1], -1, 8 // bits) << np.arange(0, 8, bits, dtype=np.uint8)
    return np.asarray(of_bytes.sum(axis=-1, dtype=np.uint8))


def _padded(graph: Graph, value: str, more: int, with_: int) -> str:
    """So many entries more in the last dimension, or fewer."""
    if more == 0:
        return value
    filled = graph.constant(np.array(with_, np.uint8))
    return graph.add("Pad", value, graph.whole(0, more), filled, graph.whole(-1))


def _cut(graph: Graph, value: str, size: int) -> str:
    """The first entries of the last dimension."""
    return graph.add("Slice", value, graph.whole(0), graph.whole(size), graph.whole(-1))
