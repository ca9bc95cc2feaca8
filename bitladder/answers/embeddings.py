"""A vector: the mean of a text's tokens, of length 1. Two texts are as near as the product of their vectors.

Shapes: N texts, E numbers of a vector.
"""

import json
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bitladder.answers.kind import Answer, Floats, Kind
from bitladder.packed.format import PackedConfig

Form = Literal["float32", "int8", "binary"]
_SHOWN = 8  # of its numbers, in a terminal


def formed(vectors_NE: Floats, form: Form) -> NDArray[Any]:
    """The vectors in another form.

    int8: each vector's numbers times 127 over its own largest magnitude, rounded to the nearest: a cosine of
    two such is theirs to about 0.01, and their lengths say nothing. binary: a bit for each number, set where
    it is above 0, eight to a byte [N, E / 8], the first in the highest bit (sentence-transformers' ubinary):
    the fewer bits differ, the nearer.

    Raises ValueError for any other form.
    """
    if form == "float32":
        return vectors_NE
    if form == "int8":
        largest_N1 = np.abs(vectors_NE).max(axis=-1, keepdims=True)
        codes_NE = np.rint(vectors_NE * (127 / np.maximum(largest_N1, np.finfo(np.float32).tiny)))
        return np.asarray(codes_NE, np.int8)
    if form == "binary":
        return np.packbits(vectors_NE > 0, axis=-1)
    raise ValueError(f"form: {form!r} is not known; known: {', '.join(get_args(Form))}")


class Embeddings(Kind):
    """`vector`: E numbers, whose squares add up to 1."""

    columns: ClassVar = {"vector": "string"}

    def answer(self, logits_L: Floats, config: PackedConfig) -> Answer:
        return {"vector": logits_L.tolist()}

    def lines(self, answer: Answer) -> list[str]:
        first = ", ".join(f"{number:.4f}" for number in answer["vector"][:_SHOWN])
        return [f"vector of {len(answer['vector'])} numbers: {first}, ... (--json prints all)"]

    def row(self, answer: Answer) -> Answer:
        """As JSON."""
        return {"vector": json.dumps(answer["vector"])}
