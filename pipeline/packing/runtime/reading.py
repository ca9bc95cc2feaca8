"""The tensors of a packed folder as arrays, each checked before it is used."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from pipeline import files
from pipeline.packing import format, tensors
from pipeline.packing.runtime import layout, support
from pipeline.packing.stored_codes import FIVE_TRITS, as_two_bits

Floats = NDArray[np.float32]


def read_config(folder: Path) -> dict[str, Any]:
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


class Arrays:
    """The file's tensors by name. Opening it compares names, shapes and dtypes with what config.json says.

    Raises:
        FormatError: it is another file, or, when a tensor is read, it holds what packing cannot write.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        path = folder / format.WEIGHTS
        contents = tensors.read_contents(path)
        format.check_metadata(contents.metadata, source=str(path))
        format.check_entries(contents.entries, layout.entries(config), source=str(path))
        self.names = frozenset(contents.entries)
        self._matrices = layout.matrices(config)
        self._file: Any = safe_open(path, framework="numpy")

    def codes(self, name: str) -> NDArray[np.uint8]:
        """The bytes [O, B] of a matrix or table; ternary codes always with 2 bits each."""
        found: NDArray[np.uint8] = self._file.get_tensor(f"{name}{format.CODES}")
        stored, num_codes = self._matrices[name]
        format.check_codes(name, found, stored, num_codes)
        return as_two_bits(found, num_codes) if stored == FIVE_TRITS else found

    def scale(self, name: str, num_rows: int) -> Floats:
        """One per row [O], also where all rows share one."""
        return np.broadcast_to(self.floats(f"{name}{format.SCALE}"), (num_rows,))

    def floats(self, name: str) -> Floats:
        found = self._file.get_tensor(name)
        format.check_floats(name, found)
        return np.asarray(found, np.float32)
