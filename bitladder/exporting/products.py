"""Products of activations and packed weights, by the operators that ONNX Runtime has for them.

MatMulNBits reads weights of 2, 4 or 8 bits. What it multiplies them with it rounds to 8 bits itself
(accuracy_level 4), in blocks of neighbours and by the largest of each. Ours are whole numbers already, of a
step of their own. So each block gets one value more, 127, with a weight of 0: then the largest is 127, the
operator's step is 1, and its rounding changes nothing. The sums are those of whole numbers, exactly.

MatMulIntegerToFloat reads weights of 8 bits, which are made of the file's bits when it is loaded. It is exact
by itself.

32-bit activations are multiplied as they are (accuracy_level 1), by weights of at least 4 bits: of 2 bits the
operator has no such kernel, and would unpack the matrix at every call.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bitladder.exporting import weights
from bitladder.exporting.graph import CONTRIB, Graph
from bitladder.exporting.rounding import ZERO, Rounded
from bitladder.packed.reading import Arrays
from bitladder.packed.schema import Matrix

Form = Literal["nbits", "int8"]
BLOCK = 128  # codes: all of the operator's kernels take it
SPARE = 4  # at the end of each; one is enough, and four are whole bytes at any width
_INT8, _FLOAT = 4, 1  # accuracy levels


@dataclass(frozen=True)
class Product:
    """What MatMulNBits is asked: its attributes."""

    K: int
    N: int
    bits: int
    block_size: int
    accuracy_level: int


def linear(
    graph: Graph, arrays: Arrays, matrix: Matrix, read: Rounded, form: Form, asked: list[Product]
) -> str:
    """`rounded(x) weightᵀ + bias` [B, S, O], of x [B, S, I]; `asked`: where products are put down."""
    names = weights.halves(arrays, matrix)
    bias = arrays.floats(f"{names[0]}.bias")
    if read.offset:
        bias = bias + read.offset * sum(weights.sums(arrays, name) for name in names)
    found = []
    for name in names:
        scale = weights.scale(graph, arrays, name, matrix.rows)
        if not isinstance(read.step, str):  # one product less
            scale = read.times_step(graph, scale)
        if form == "int8":
            found.append(_by_int8(graph, arrays, name, matrix, read, scale))
        else:
            found.append(_by_nbits(graph, arrays, name, matrix, read, scale, asked))
    whole = found[0] if len(found) == 1 else graph.add("Add", *found)
    if isinstance(read.step, str):
        whole = read.times_step(graph, whole)
    return graph.add("Add", whole, graph.floats(np.asarray(bias, np.float32)))


def _by_nbits(
    graph: Graph, arrays: Arrays, name: str, matrix: Matrix, read: Rounded, scale: str, asked: list[Product]
) -> str:
    """`codes weightᵀ` times a scale for each output, [B, S, O]."""
    spare = 0 if read.is_exact else SPARE
    bits = max(int(arrays.config.precision.weights), 4 if read.is_exact else 2)
    num_blocks = -(-matrix.columns // (BLOCK - spare))
    inner = matrix.columns if read.is_exact else num_blocks * BLOCK
    own = Product(inner, matrix.rows, bits, BLOCK, _FLOAT if read.is_exact else _INT8)
    asked.append(own)
    codes = weights.as_nbits(graph, arrays, name, matrix.columns, bits=bits, block=BLOCK, spare=spare)
    # Sums stay whole where the operator multiplies them with 1.
    of_blocks = graph.reshape(scale, -1, 1) if read.is_exact else graph.number(1)
    scales = graph.add("Expand", of_blocks, graph.whole(matrix.rows, num_blocks))
    values = read.whole(graph)
    if read.is_exact:
        return graph.add("MatMulNBits", values, codes, scales, domain=CONTRIB, **vars(own))
    values = _with_largest(graph, values, matrix.columns, num_blocks)
    return graph.add(
        "Mul", graph.add("MatMulNBits", values, codes, scales, domain=CONTRIB, **vars(own)), scale
    )


def _with_largest(graph: Graph, codes: str, columns: int, num_blocks: int) -> str:
    """Blocks that end with 127, [B, S, blocks * BLOCK]."""
    size = BLOCK - SPARE
    if more := num_blocks * size - columns:
        codes = graph.add("Pad", codes, graph.whole(0, more), graph.number(0), graph.whole(-1))
    blocks = graph.reshape(codes, 0, 0, num_blocks, size)
    ended = graph.add("Pad", blocks, graph.whole(0, SPARE), graph.number(127), graph.whole(-1))
    return graph.reshape(ended, 0, 0, -1)


def _by_int8(graph: Graph, arrays: Arrays, name: str, matrix: Matrix, read: Rounded, scale: str) -> str:
    """The same."""
    codes_IO = weights.as_int8(graph, arrays, name, matrix.columns)
    inputs = (read.bytes(graph), codes_IO, graph.number(1), scale, graph.byte(ZERO))
    return graph.add("MatMulIntegerToFloat", *inputs, domain=CONTRIB)
