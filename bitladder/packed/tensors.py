"""Write a safetensors file whose bytes depend on its tensors alone, and read its table of contents without
a tensor.

The safetensors package writes metadata in an order that changes from run to run, and reads a file without
saying what it promised before memory is taken for it. The layout is theirs (8 bytes little-endian: length
of the header; the header as JSON; the data without holes) and they read what is written here.

torch is not imported: what runs a packed model without it reads its header here.
"""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

ITEM_SIZE = {"U8": 1, "I8": 1, "BOOL": 1, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "I64": 8, "F64": 8}
_NAMES = {"torch.uint8": "U8", "torch.float16": "F16", "torch.float32": "F32"}
_MAX_HEADER = 100_000_000  # bytes; safetensors' own limit


class FormatError(ValueError):
    """A file or folder is not laid out as docs/file-format.md says."""

    exit_code = 4


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: its dtype as safetensors names it, and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_SIZE[self.dtype]


@dataclass(frozen=True)
class Contents:
    """What a file holds, by tensor name, and the metadata it carries."""

    entries: dict[str, Entry]
    metadata: dict[str, str]


def entry(tensor: "Tensor") -> Entry:
    """The entry a uint8, float16 or float32 tensor will have."""
    return Entry(_NAMES[str(tensor.dtype)], tuple(tensor.shape))


def write(path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, str]) -> None:
    """Widest dtype first, so that every tensor is aligned to its items; names in order."""
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name in names:
        found = entry(tensors[name])
        start, end = end, end + found.num_bytes
        header[name] = {"dtype": found.dtype, "shape": list(found.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    path.unlink(missing_ok=True)  # whoever has an older file of that name mapped keeps it whole
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(tensors[name].contiguous().numpy().tobytes())


def read_contents(path: Path) -> Contents:
    """Read and check the header; no tensor is read and no memory taken for one.

    Raises:
        FormatError: there is no such file, its header is not safetensors', or its length is another.
    """
    header, data_bytes = _read_header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError(f"{path}: __metadata__ is not a mapping of texts")
    spans = sorted((_span(path, name, value), name) for name, value in header.items())
    expected = 0
    for (start, end), name in spans:
        if start != expected:
            raise FormatError(f"{path}: {name} starts at {start}, the tensor before it ends at {expected}")
        expected = end
    if expected != data_bytes:
        raise FormatError(f"{path}: {data_bytes} bytes of tensors, the header says {expected}")
    return Contents({name: _entry(path, name, value) for name, value in sorted(header.items())}, metadata)


def parse_json(text: bytes, source: str) -> Any:
    """JSON as defined: no NaN, no key twice, no nesting that exhausts the stack. Raises FormatError."""
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: no JSON: {error or type(error).__name__}") from None


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    if not path.is_file():
        raise FormatError(f"{path}: no such file")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, _MAX_HEADER):
            raise FormatError(f"{path}: no safetensors file: {size} bytes, the header would be {length}")
        header = parse_json(file.read(length), str(path))
    if not isinstance(header, dict):
        raise FormatError(f"{path}: the header is no mapping")
    return header, size - 8 - length


def _entry(path: Path, name: str, value: Any) -> Entry:
    known = isinstance(value, dict) and value.keys() == {"dtype", "shape", "data_offsets"}
    if not known or value["dtype"] not in ITEM_SIZE or not _are_sizes(value["shape"]):
        raise FormatError(f"{path}: {name} has no dtype of {sorted(ITEM_SIZE)}, shape and data_offsets")
    return Entry(value["dtype"], tuple(value["shape"]))


def _span(path: Path, name: str, value: Any) -> tuple[int, int]:
    promised = _entry(path, name, value)
    offsets = value["data_offsets"]
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[1] - offsets[0] != promised.num_bytes:
        raise FormatError(
            f"{path}: {name} is at {offsets}; {promised.dtype} {promised.shape} is {promised.num_bytes} bytes"
        )
    return offsets[0], offsets[1]


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**62 for size in value)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
