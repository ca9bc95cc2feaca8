"""The tensors of a packed model as arrays, of its file or of elsewhere, each checked before it is used."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from bitladder import files
from bitladder.packed import format, tensors
from bitladder.packed.codes import FIVE_TRITS, as_two_bits
from bitladder.packed.format import PackedConfig
from bitladder.packed.tensors import Entry, FormatError
from bitladder.runtime import layout, support

_DTYPES = {"uint8": "U8", "float16": "F16", "float32": "F32"}
Floats = NDArray[np.float32]


def read_config(folder: Path) -> PackedConfig:
    """The checked config.json of a published folder, for a model that the kernels run.

    Raises:
        IntegrityError: a file is not what the manifest promises.
        FormatError: config.json is not as docs/file-format.md says.
        UnsupportedError: there is no kernel for this model.
    """
    files.verify(folder)
    config = format.read_config(folder)
    support.check(config)
    return config


def open_file(folder: Path, config: PackedConfig) -> "Arrays":
    """Of a packed folder. Names, shapes and dtypes are compared with what config.json says.

    Raises:
        FormatError: it is another file.
    """
    path = folder / format.WEIGHTS
    contents = tensors.read_contents(path)
    format.check_metadata(contents.metadata, source=str(path))
    format.check_entries(contents.entries, layout.entries(config), source=str(path))
    return Arrays(safe_open(path, framework="numpy").get_tensor, contents.entries, config)


class Arrays:
    """A model's tensors by name, in the dtypes of the file or wider.

    Raises:
        FormatError: when a tensor is read that holds what packing cannot write.
    """

    def __init__(
        self, get: Callable[[str], NDArray[Any]], entries: Mapping[str, Entry], config: PackedConfig
    ) -> None:
        """`get`: the tensor of a name, which is not copied where it need not be; of the checked `entries`."""
        self.names = frozenset(entries)
        self._get, self._entries, self._matrices = get, entries, layout.matrices(config)

    def codes(self, name: str) -> NDArray[np.uint8]:
        """The bytes [O, B] of a matrix or table; ternary codes always with 2 bits each."""
        found: NDArray[np.uint8] = self._checked(f"{name}{format.CODES}")
        stored, num_codes = self._matrices[name]
        format.check_codes(name, found, stored, num_codes)
        return as_two_bits(found, num_codes) if stored == FIVE_TRITS else found

    def scale(self, name: str, num_rows: int) -> Floats:
        """One per row [O], also where all rows share one."""
        return np.broadcast_to(self.floats(f"{name}{format.SCALE}"), (num_rows,))

    def floats(self, name: str) -> Floats:
        found = self._checked(name)
        format.check_floats(name, found)
        return np.asarray(found, np.float32)

    def _checked(self, name: str) -> NDArray[Any]:
        """As its entry was: the file may have been replaced since."""
        found, entry = self._get(name), self._entries[name]
        if (_DTYPES.get(found.dtype.name), found.shape) != (entry.dtype, entry.shape):
            said = f"{entry.dtype}{list(entry.shape)}"
            raise FormatError(f"{name}: is {found.dtype}{list(found.shape)} now, and was {said}")
        return found
