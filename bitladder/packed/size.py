"""What a packed model takes, part by part, counted from the header of the file; `bitladder inspect DIR`.

Papers count in different ways, and two of them are given beside the bytes on disk, all against the same
BERT in 32 bits without its head (417.64 MiB for BERT-base):

    all tables counted               every matrix and table at its bits, LayerNorms and biases at 32
    position and segment left out    the same without those two tables, as BinaryBERT and BiBERT print it

Ternary weights count 2 bits there, also where the file has five of them in a byte (1.6 bits).

Scales, activation steps, the head and the file's own header are in the bytes on disk alone.
"""

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bitladder import files
from bitladder.packed import format, reading, schema
from bitladder.packed.schema import ENCODER, HEAD, POOLER_PART, SIDE, Stored

MIB = 2**20
MATRICES = (*schema.TABLE_PARTS.values(), ENCODER, POOLER_PART)
_ORDER = (*MATRICES, HEAD, SIDE, schema.SCALES, schema.ACTIVATION_STEPS)
_FULL = 4  # bytes of a parameter in 32 bits


@dataclass(frozen=True)
class Part:
    """One part of a model.

    Attributes:
        parameters: weights that are stored here; 0 for scales and steps, which are none.
        bits: of one stored number; None where several widths meet.
        stored_bytes: in the file.
        whole_parameters: weights that the whole model, of full width and not split, has here.
    """

    part: str
    parameters: int
    bits: float | None
    stored_bytes: int
    whole_parameters: int

    @property
    def full_bytes(self) -> int:
        """Of the whole model in 32 bits."""
        return self.whole_parameters * _FULL


@dataclass(frozen=True)
class Size:
    """Bytes by one way of counting, and how many times smaller that is than the same model in 32 bits."""

    size_bytes: float
    ratio: float

    @property
    def mib(self) -> float:
        return self.size_bytes / MIB


@dataclass(frozen=True)
class Sizes:
    """A model's parts and its size by each way of counting; `file_bytes` is the written model.safetensors."""

    parts: list[Part]
    file_bytes: int
    all_tables: Size
    without_position_and_segment: Size
    on_disk: Size


def account(folder: Path) -> Sizes:
    """Count the parts of a packed folder, published or not yet.

    Raises:
        IntegrityError: the folder has a manifest and a file is not what it promises.
        FormatError: model.safetensors is no safetensors file, or not what config.json says.
    """
    if (folder / files.MANIFEST).is_file():
        files.verify(folder)
    config = format.read_config(folder)
    reading.open_weights(folder, config)
    return count(schema.tensors(config).values(), file_bytes=(folder / format.WEIGHTS).stat().st_size)


def count(found: Iterable[Stored], *, file_bytes: int) -> Sizes:
    """The same of a file's tensors."""
    stored = list(found)
    parts = [_part(part, own) for part in _ORDER if (own := [one for one in stored if one.part == part])]
    header = Part("file header", 0, None, file_bytes - sum(part.stored_bytes for part in parts), 0)
    return Sizes(
        parts=[*parts, header],
        file_bytes=file_bytes,
        all_tables=_as_papers_count(parts, left_out=()),
        without_position_and_segment=_as_papers_count(parts, left_out=("position table", "segment table")),
        on_disk=Size(file_bytes, sum(part.full_bytes for part in parts) / file_bytes),
    )


def _part(part: str, found: list[Stored]) -> Part:
    widths = {stored.bits for stored in found}
    return Part(
        part,
        sum(stored.parameters for stored in found),
        widths.pop() if len(widths) == 1 else None,
        sum(stored.entry.num_bytes for stored in found),
        sum(stored.whole_parameters for stored in found),
    )


def _as_papers_count(parts: list[Part], *, left_out: tuple[str, ...]) -> Size:
    whole = [part for part in parts if part.part in (*MATRICES, SIDE)]
    counted = [part for part in whole if part.part not in left_out]
    size_bytes = 0.0
    for part in counted:
        is_full = part.part == SIDE or part.bits is None
        size_bytes += part.parameters * (_FULL if is_full else math.ceil(part.bits or 0) / 8)
    return Size(size_bytes, sum(part.full_bytes for part in whole) / size_bytes)


def main(folder: str, as_json: bool) -> int:
    """Print what `account` counts. Raises as that does."""
    sizes = account(Path(folder))
    if as_json:
        sys.stdout.write(json.dumps(asdict(sizes), indent=2, sort_keys=True) + "\n")
        return 0
    console = Console(soft_wrap=True, highlight=False)
    console.print(parts_table(sizes))
    for line in summary(sizes):
        console.print(line, markup=False)
    return 0


def parts_table(sizes: Sizes) -> Table:
    """A row per part; the last one is the file."""
    table = Table("part", box=None, pad_edge=False)
    for heading in ("parameters", "bits", "bytes", "MiB", "fp32 MiB", "ratio"):
        table.add_column(heading, justify="right")
    for part in sizes.parts:
        table.add_row(*_cells(part))
    total = sum(part.parameters for part in sizes.parts)
    whole = Part(
        "model.safetensors", total, None, sizes.file_bytes, sum(p.whole_parameters for p in sizes.parts)
    )
    table.add_section()
    table.add_row(*_cells(whole))
    return table


def summary(sizes: Sizes) -> list[str]:
    """How small the whole is, in the ways that papers and disks count."""
    ways = (
        ("on disk", sizes.on_disk, "the whole model.safetensors against all its parameters in 32 bits"),
        ("as papers count, all tables", sizes.all_tables, "norms and biases 32 bits, no scales, no head"),
        ("as papers count, position and segment left out", sizes.without_position_and_segment, "same"),
    )
    return [
        f"{name}: {counted.mib:.3f} MiB, {counted.ratio:.2f} times smaller ({meaning})"
        for name, counted, meaning in ways
    ]


def _cells(part: Part) -> list[str]:
    ratio = f"{part.full_bytes / part.stored_bytes:.2f}" if part.parameters and part.stored_bytes else "-"
    return [
        part.part,
        f"{part.parameters:,}" if part.parameters else "-",
        f"{part.bits:g}" if part.bits is not None else "-",
        f"{part.stored_bytes:,}",
        f"{part.stored_bytes / MIB:.3f}",
        f"{part.full_bytes / MIB:.3f}" if part.parameters else "-",
        ratio,
    ]
