"""The tensors of a packed model as arrays: compared with the schema at once, each checked when it is read."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitladder.packed import codes, format, schema
from bitladder.packed.codes import Bytes, Codes
from bitladder.packed.format import PackedConfig
from bitladder.packed.tensors import Entry, FormatError, read_contents
from bitladder.quantizers.scale_codes import SCALES
from bitladder.shown import misfits

Floats = NDArray[np.float32]
_LOWEST, _HIGHEST = math.log(2**-24), math.log(65504)  # of a step's logarithm: half precision's range


def open_weights(folder: Path, config: PackedConfig) -> "Arrays":
    """The tensors of a packed folder. The file stays open, so what was checked is what is read.

    Raises:
        FormatError: the file is of another format version, or does not hold what config.json says.
    """
    path = folder / format.WEIGHTS
    contents = read_contents(path)
    version = contents.metadata.get("bitladder_format")
    if version != str(config.format):
        raise FormatError(f"{path}: bitladder_format is {version!r}; config.json says {config.format}")
    return Arrays(contents.read, contents.entries, config, source=str(path))


class Arrays:
    """A packed model's tensors by name: those of its file, or of a model in memory.

    Attributes:
        config: of the model.
    """

    def __init__(
        self,
        read: Callable[[str], NDArray[Any]],
        entries: Mapping[str, Entry],
        config: PackedConfig,
        *,
        source: str,
        widened: bool = False,
    ) -> None:
        """Compare with what config.json makes them.

        Args:
            read: the tensor of a name, not copied where it need not be.
            widened: numbers of half precision are in 32 bits, as they are in memory.

        Raises:
            FormatError: naming tensors that are missing, left over, or of another shape or dtype.
        """
        self.config, self._read, self._schema = config, read, schema.tensors(config)
        wanted = {name: stored.entry for name, stored in self._schema.items()}
        if widened:
            wanted = {
                name: Entry("F32" if e.dtype == "F16" else e.dtype, e.shape) for name, e in wanted.items()
            }
        check_entries(entries, wanted, source=source)

    def __contains__(self, name: str) -> bool:
        return name in self._schema

    def items(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Each tensor's name and what it holds, unchecked."""
        return ((name, self._read(name)) for name in self._schema)

    def check(self) -> None:
        """Raises FormatError when a tensor holds what packing cannot write."""
        for name in self._schema:
            if name.endswith(schema.CODES):
                self.bytes(name.removesuffix(schema.CODES))
            else:
                self.floats(name)

    def bytes(self, name: str) -> Bytes:
        """A matrix's or table's codes as the file has them, [O, B]. Raises FormatError as `check`."""
        found, stored = self._read(f"{name}{schema.CODES}"), self._schema[f"{name}{schema.CODES}"]
        try:
            codes.check(found, stored.bits, stored.columns)
        except ValueError as error:
            raise FormatError(f"{stored.name}: {error}") from None
        return found

    def codes(self, name: str) -> Codes:
        """A matrix's or table's codes, [O, I]. Raises FormatError as `check`."""
        stored = self._schema[f"{name}{schema.CODES}"]
        return codes.unpack(self.bytes(name), stored.bits, stored.columns)

    def floats(self, name: str) -> Floats:
        """Everything that is no code of a weight. Raises FormatError as `check`."""
        found = self._read(name)
        if self._schema[name].entry.dtype == "U8":
            return np.asarray(SCALES[found])
        if not bool(np.isfinite(found).all()):
            raise FormatError(f"{name}: holds NaN or infinity")
        if name.endswith(schema.SCALE) and bool((found < 0).any()):
            raise FormatError(f"{name}: holds a negative scale")
        return np.asarray(found, np.float32)


def step_of(arrays: Arrays, name: str) -> np.float32:
    """The step of the activation quantizer of this name, as it was trained with, to the last bit."""
    log_step = np.clip(arrays.floats(f"{name}.log_step"), _LOWEST, _HIGHEST)
    return np.float32(np.exp(log_step.astype(np.float64)))


def check_entries(found: Mapping[str, Entry], wanted: Mapping[str, Entry], *, source: str) -> None:
    """Raises FormatError naming tensors that are missing, left over, or of another shape or dtype."""
    missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    differing = [
        f"{name} {found[name].dtype}{list(found[name].shape)} instead of {entry.dtype}{list(entry.shape)}"
        for name, entry in sorted(wanted.items())
        if name in found and found[name] != entry
    ]
    if misfit := misfits(missing=missing, unexpected=extra, misshapen=differing):
        raise FormatError(f"{source}: {misfit}")
