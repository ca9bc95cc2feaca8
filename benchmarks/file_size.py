"""What a model takes on disk in 32 bits, and packed: bytes of both written files, and their ratio.

    python benchmarks/file_size.py [--model bert-base] [--bits 1 2] [--granularity row matrix] [--json]

The weights are random: the size depends on the shape alone. Packed are all tables, the encoder and the
pooler; biases, norms and scales are half-precision numbers, the head is in 32 bits. A rung's `granularity`
says what shares a scale: a row, or a matrix as in ladder=bit; those of rows may have 8 bits (`scale_bits`).
Ternary codes, of 2 bits, are written five to a byte. `bitladder inspect` counts a packed folder part by part.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from interleaved import as_markdown
from random_berts import build, save, save_packed
from shapes import SHAPES, Shape

from bitladder import files
from bitladder.quantizers.precision import Precision

ACTIVATIONS = 8  # bits; nothing is stored for them


@dataclass(frozen=True)
class Row:
    """One packed file beside the one in 32 bits; `ratio` is how many times smaller it is."""

    model: str
    bits: int
    granularity: str
    scale_bits: int
    fp32_bytes: int
    packed_bytes: int
    ratio: float


def measure(name: str, shape: Shape, bits: Sequence[int], granularities: Sequence[str]) -> list[Row]:
    """Write the files and ask the file system how large they are."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), build(shape))
        full = (Path(folder) / files.WEIGHTS).stat().st_size
        for precision in precisions(bits, granularities):
            kind = precision.weights, precision.granularity, precision.scale_bits
            target = Path(folder) / "-".join(map(str, kind))
            save_packed(target, shape, precision)
            packed = (target / files.WEIGHTS).stat().st_size
            rows.append(Row(name, *kind, full, packed, full / packed))
    return rows


def precisions(bits: Sequence[int], granularities: Sequence[str]) -> Iterator[Precision]:
    """With scales of every width that they may have."""
    for number in bits:
        for kind in granularities:
            for scale_bits in (16, 8) if kind == "row" else (16,):
                yield Precision(number, number, ACTIVATIONS, kind, scale_bits=scale_bits)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=SHAPES, default="bert-base")
    parser.add_argument("--bits", nargs="+", type=int, choices=(1, 2, 4, 8), default=[1, 2])
    parser.add_argument("--granularity", nargs="+", choices=("matrix", "row"), default=["matrix", "row"])
    parser.add_argument("--json", action="store_true", help="one JSON document, for programs")
    asked = parser.parse_args()
    rows = measure(asked.model, SHAPES[asked.model], asked.bits, asked.granularity)
    if asked.json:
        print(json.dumps({"weights": "random", "rows": [asdict(row) for row in rows]}, indent=2))
        return
    head = ["model", "bits", "a scale per", "of bits", "fp32 bytes", "packed bytes", "ratio"]
    sizes = [(f"{row.fp32_bytes:,}", f"{row.packed_bytes:,}", f"{row.ratio:.2f}") for row in rows]
    cells = [
        (row.model, row.bits, row.granularity, row.scale_bits, *size)
        for row, size in zip(rows, sizes, strict=True)
    ]
    print("Random weights: sizes are those of the shape.\n\n" + as_markdown([head, *cells], words=4))


if __name__ == "__main__":
    main()
