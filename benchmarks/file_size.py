"""What a model takes on disk in 32 bits, and packed: bytes of both written files, and their ratio.

    python benchmarks/file_size.py [--model bert-base] [--bits 1 2] [--granularity row matrix] [--json]

The weights are random: the size depends on the shape alone. Packed are all tables, the encoder and the
pooler; scales, biases and norms are half-precision numbers, the head is in 32 bits. A rung's `granularity`
says what shares a scale: a row, or a matrix as in ladder=bit. Ternary codes, of 2 bits, are written five to
a byte.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import root  # noqa: F401
from random_berts import SHAPES, Shape, build, save, save_packed

from bitladder import files
from bitladder.packed import size
from bitladder.quantizers.precision import Precision

ACTIVATIONS = 8  # bits; nothing is stored for them


@dataclass(frozen=True)
class Row:
    """One packed file beside the one in 32 bits.

    Attributes:
        bits_per_weight: of codes in tables, encoder and pooler, what fills a row's last byte included.
        all_tables, without_position_and_segment: ratios as papers count; see bitladder/packed/size.py.
    """

    model: str
    bits: int
    granularity: str
    fp32_bytes: int
    packed_bytes: int
    bits_per_weight: float
    all_tables: float
    without_position_and_segment: float

    @property
    def ratio(self) -> float:
        return self.fp32_bytes / self.packed_bytes


def measure(name: str, shape: Shape, bits: Sequence[int], granularities: Sequence[str]) -> list[Row]:
    """Write the files and ask the file system how large they are."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        save(root, build(shape))
        full = (root / files.WEIGHTS).stat().st_size
        precisions = [Precision(n, n, ACTIVATIONS, kind) for n in bits for kind in granularities]
        return [_row(name, shape, own, full, root / f"{own.weights}{own.granularity}") for own in precisions]


def _row(name: str, shape: Shape, precision: Precision, full: int, folder: Path) -> Row:
    save_packed(folder, shape, precision)
    counted = size.account(folder)
    codes = [part for part in counted.parts if part.part in size.MATRICES]
    return Row(
        model=name,
        bits=precision.weights,
        granularity=precision.granularity,
        fp32_bytes=full,
        packed_bytes=(folder / files.WEIGHTS).stat().st_size,
        bits_per_weight=8 * sum(part.stored_bytes for part in codes) / sum(part.parameters for part in codes),
        all_tables=counted.all_tables.ratio,
        without_position_and_segment=counted.without_position_and_segment.ratio,
    )


def as_dict(row: Row) -> dict[str, Any]:
    return {**asdict(row), "ratio": row.ratio}


def as_markdown(rows: Sequence[Row]) -> str:
    head = ["model", "bits", "a scale per", "fp32 bytes", "packed bytes", "ratio"]
    head += ["bits/weight", "as papers count", "without position, segment"]
    lines = [head, ["---"] * 3 + ["---:"] * 6, *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Row) -> list[str]:
    sizes = [f"{row.fp32_bytes:,}", f"{row.packed_bytes:,}", f"{row.ratio:.2f}"]
    counted = [
        f"{value:.2f}" for value in (row.bits_per_weight, row.all_tables, row.without_position_and_segment)
    ]
    return [row.model, str(row.bits), row.granularity, *sizes, *counted]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=SHAPES, default="bert-base")
    parser.add_argument("--bits", nargs="+", type=int, choices=(1, 2, 4, 8), default=[1, 2])
    parser.add_argument("--granularity", nargs="+", choices=("matrix", "row"), default=["matrix", "row"])
    parser.add_argument("--json", action="store_true", help="one JSON document, for programs")
    return parser.parse_args()


def main() -> int:
    asked = _arguments()
    rows = measure(asked.model, SHAPES[asked.model], asked.bits, asked.granularity)
    if asked.json:
        print(json.dumps({"weights": "random", "rows": [as_dict(row) for row in rows]}, indent=2))
    else:
        print("Random weights: sizes are those of the shape.\n\n" + as_markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
