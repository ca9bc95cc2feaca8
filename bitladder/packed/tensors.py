"""Write a safetensors file whose bytes depend on its tensors alone, and read its table of contents.

The safetensors package writes metadata in an order that changes from run to run. The layout is theirs (8
bytes little-endian: length of the header; the header as JSON; the data without holes) and they read what is
written here. They check a header against the file's length before they take memory for anything.

torch is not imported: packed models are read without it.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

ITEM_SIZE = {"U8": 1, "I8": 1, "BOOL": 1, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "I64": 8, "F64": 8}
_NAMES = {"uint8": "U8", "float16": "F16", "float32": "F32"}


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
    """What an open file holds, by tensor name; `read` gives a tensor's array."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    read: Callable[[str], NDArray[Any]]


def entry(array: NDArray[Any]) -> Entry:
    """The entry a uint8, float16 or float32 array has."""
    return Entry(_NAMES[array.dtype.name], array.shape)


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Widest dtype first, so that every tensor is aligned to its items; names in order."""
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name in names:
        found = entry(arrays[name])
        start, end = end, end + found.num_bytes
        header[name] = {"dtype": found.dtype, "shape": list(found.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    path.unlink(missing_ok=True)  # whoever has an older file of that name mapped keeps it whole
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(arrays[name].tobytes())


def read_contents(path: Path) -> Contents:
    """Read and check the header; no tensor is read and no memory taken for one.

    Raises:
        FormatError: there is no such file, its header is not safetensors', or its length is another.
    """
    if not path.is_file():
        raise FormatError(f"{path}: missing")
    try:
        file: Any = safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path}: not a safetensors file: {error}") from None
    slices = {name: file.get_slice(name) for name in sorted(file.keys())}
    entries = {name: Entry(one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}
    if unknown := sorted({entry.dtype for entry in entries.values()} - ITEM_SIZE.keys()):
        raise FormatError(f"{path}: holds tensors of {unknown}; known: {sorted(ITEM_SIZE)}")
    return Contents(entries, dict(file.metadata() or {}), file.get_tensor)


def parse_json(text: bytes, source: str) -> Any:
    """JSON as defined: no NaN, no key twice, no nesting that exhausts the stack. Raises FormatError."""
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: not JSON: {error or type(error).__name__}") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")
