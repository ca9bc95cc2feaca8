"""What a model takes, part by part, counted from the header of the written file.

Papers count in different ways, and two of them are given beside the bytes on disk, all against the same
BERT in 32 bits without its head (417.64 MiB for BERT-base):

    all tables counted               every matrix and table at its bits, LayerNorms and biases at 32
    position and segment left out    the same without those two tables, as BinaryBERT and BiBERT print it

Ternary weights count 2 bits there, also where the file has five of them in a byte (1.6 bits).

Scales, activation steps, the head and the file's own header are in the bytes on disk alone.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bitladder import files
from bitladder.packed import tensors
from bitladder.packed.codes import FIVE_TRITS
from bitladder.packed.tensors import Contents, Entry

MIB = 2**20
WEIGHTS = files.WEIGHTS
CONFIG = files.CONFIG
TABLES = {
    "word_embeddings": "word table",
    "position_embeddings": "position table",
    "token_type_embeddings": "segment table",
}
MATRICES = (*TABLES.values(), "encoder", "pooler")
SIDE = "norms and biases"
HEAD = "head"
# The last two are in trained rungs alone, from quantizers that learn or observe.
ADDED = ("scales", "activation steps", "weight steps", "curvature")
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
    whole_parameters: int | None = None

    @property
    def full_bytes(self) -> int:
        """Of the whole model in 32 bits."""
        whole = self.parameters if self.whole_parameters is None else self.whole_parameters
        return whole * _FULL


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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def account(folder: Path) -> Sizes:
    """Count the parts of a packed folder or of a full-precision one.

    Raises:
        IntegrityError: the folder has a manifest and a file is not what it promises.
        FormatError: model.safetensors is no safetensors file.
    """
    if (folder / files.MANIFEST).is_file():
        files.verify(folder)
    contents = tensors.read_contents(folder / WEIGHTS)
    config = tensors.parse_json((folder / CONFIG).read_bytes(), str(folder / CONFIG))
    return count(contents, config, file_bytes=(folder / WEIGHTS).stat().st_size)


def count(contents: Contents, config: dict[str, Any], *, file_bytes: int) -> Sizes:
    """The same from a file's contents and the sizes that config.json names."""
    groups: dict[str, list[tuple[str, Entry]]] = {}
    for name, entry in contents.entries.items():
        groups.setdefault(part_of(name), []).append((name, entry))
    parts = [_part(part, groups[part], config) for part in _ordered(groups)]
    header = Part("file header", 0, None, file_bytes - sum(part.stored_bytes for part in parts))
    return Sizes(
        parts=[*parts, header],
        file_bytes=file_bytes,
        all_tables=_as_papers_count(parts, left_out=()),
        without_position_and_segment=_as_papers_count(parts, left_out=("position table", "segment table")),
        on_disk=Size(file_bytes, sum(part.full_bytes for part in parts) / file_bytes),
    )


def part_of(name: str) -> str:
    """Which part of the model a tensor belongs to, from its name."""
    kind = name.rsplit(".", 1)[-1]
    if name.startswith(("classifier.", "qa_outputs.", "cls.")):
        return HEAD
    if not {"activation", "products"}.isdisjoint(name.split(".")):
        return "activation steps"
    if kind == "scale":
        return "scales"
    if ".quantizer." in name:
        return "curvature" if kind == "curvature" else "weight steps"
    if kind == "bias" or "LayerNorm" in name:
        return SIDE
    for module, part in TABLES.items():
        if module in name:
            return part
    return "pooler" if "pooler." in name else "encoder" if "encoder." in name else "other"


def _ordered(groups: dict[str, Any]) -> list[str]:
    order = (*MATRICES, HEAD, SIDE, *ADDED, "other")
    return [part for part in order if part in groups]


def _part(part: str, found: list[tuple[str, Entry]], config: dict[str, Any]) -> Part:
    stored_bytes = sum(entry.num_bytes for _, entry in found)
    widths = {_bits(name, entry, config) for name, entry in found}
    bits = widths.pop() if len(widths) == 1 else None
    if part in ADDED:
        return Part(part, 0, bits, stored_bytes)
    numbers = {name: _numbers(name, entry, config) for name, entry in found}
    whole = sum(
        round(count / _share(name, config)) for name, count in numbers.items() if not _is_second(name)
    )
    return Part(part, sum(numbers.values()), bits, stored_bytes, whole)


def _is_second(name: str) -> bool:
    """Whether this is the second of two matrices whose sum stands for one of the whole model."""
    return ".second." in name


def _share(name: str, config: dict[str, Any]) -> float:
    """Which share of the whole model's numbers a tensor of a narrower model has."""
    reads_all = any(f".{module}." in name for module in ("query", "key", "value", "intermediate"))
    writes_all = ".output.dense." in name and not name.endswith(".bias")
    return _width(config) if reads_all or writes_all else 1.0


def _width(config: dict[str, Any]) -> float:
    return float(config.get("bitladder_width") or 1.0)


def _numbers(name: str, entry: Entry, config: dict[str, Any]) -> int:
    return entry.shape[0] * _columns(name, config) if name.endswith(".codes") else math.prod(entry.shape)


def _bits(name: str, entry: Entry, config: dict[str, Any]) -> float:
    if not name.endswith(".codes"):
        return tensors.ITEM_SIZE[entry.dtype] * 8
    is_table = any(module in name for module in TABLES)
    bits = int(config["bitladder_precision"]["embeddings" if is_table else "weights"])
    return FIVE_TRITS if bits == 2 and config.get("bitladder_trits_per_byte") == 5 else bits


def _columns(name: str, config: dict[str, Any]) -> int:
    """Width of a matrix: what it reads. Bytes alone do not tell it when the last one is not full."""
    if ".output.dense." not in name:
        return int(config["hidden_size"])
    whole = int(config["hidden_size" if ".attention." in name else "intermediate_size"])
    return round(whole * _width(config))


def _as_papers_count(parts: list[Part], *, left_out: tuple[str, ...]) -> Size:
    whole = [part for part in parts if part.part in (*MATRICES, SIDE)]
    counted = [part for part in whole if part.part not in left_out]
    size_bytes = sum(_nominal_bytes(part) for part in counted)
    return Size(size_bytes, sum(part.full_bytes for part in whole) / size_bytes)


def _nominal_bytes(part: Part) -> float:
    if part.part == SIDE or part.bits is None:
        return part.parameters * _FULL
    return part.parameters * math.ceil(part.bits) / 8
