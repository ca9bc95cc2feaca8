"""`bitladder inspect DIR`: bits, bytes and ratio of each part of a packed model."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bitladder.packed import size
from bitladder.packed.size import MIB, Part, Sizes


def main(folder: str, as_json: bool) -> int:
    """Print what `size.account` counts. Raises as that does."""
    sizes = size.account(Path(folder))
    if as_json:
        sys.stdout.write(json.dumps(sizes.as_dict(), indent=2, sort_keys=True) + "\n")
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
