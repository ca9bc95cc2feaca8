"""Run by an aarch64 Python, emulated: every engine's products, and a packed model's logits.

    arm_products.py FOLDER IDS OUT      IDS: .npz of a batch; OUT: .npz, logits by engine

Nothing here but numpy and the runtime is needed. Prints the engines that run.
"""

import sys
from pathlib import Path

import numpy as np
import one_product

from bitladder.packed import format
from bitladder.packed.reading import open_weights
from bitladder.runtime import Model
from bitladder.runtime.kernels import engines
from bitladder.runtime.kernels.engines import Choice

LEVELS = {1: [-1, 1], 2: [-1, 0, 1], 4: range(-7, 8), 8: range(-127, 128)}
SHAPES = [(1, 64, 64), (2, 33, 128), (7, 64, 192), (19, 16, 64), (33, 70, 520)]  # rows, outputs, inputs


def check(name: str, bits: int) -> None:
    """Raises AssertionError where a product is not numpy's."""
    draw = np.random.default_rng(bits).choice
    for rows, outputs, inputs in SHAPES:
        weights = draw(LEVELS[bits], (outputs, inputs)).astype(np.int8)
        codes = draw(range(-127, 128), (rows, inputs)).astype(np.int8)
        codes[0] = 127
        found = one_product.by_engine(name, weights, bits).multiply(codes)
        np.testing.assert_array_equal(found, codes.astype(np.int64) @ weights.astype(np.int64).T)


def main(folder: str, ids: str, out: str) -> None:
    given = dict(np.load(ids))
    arrays = open_weights(Path(folder), format.read_config(Path(folder)))
    found = {}
    for name in engines.running():
        for bits in (1, 2, 4, 8):
            check(name, bits)
        found[name] = Model(arrays, Choice(name, "to compare"), threads=2).logits(**given)
    np.savez(out, **found)
    sys.stdout.write(" ".join(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
