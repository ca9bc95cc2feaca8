"""A reader of packed folders, written from docs/file-format.md alone: it imports nothing of pipeline/.

Shapes: O rows, I columns, B bytes per row, as in the document.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES = {"U8": np.dtype("u1"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


def read(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """config.json, and by name every weight and every side parameter, float32."""
    _check_manifest(folder)
    config = json.loads((folder / "config.json").read_bytes())
    version, stored = _tensors((folder / "model.safetensors").read_bytes())
    has_codes = config["bitladder_precision"].get("scale_bits", 16) == 8
    assert config["bitladder_format"] in ([2] if has_codes else [1, 2])
    assert version == str(config["bitladder_format"])
    found = {name: _finite(array) for name, array in stored.items() if array.dtype != np.uint8}
    for name in [name.removesuffix(".codes") for name in stored if name.endswith(".codes")]:
        scale = scales(stored[f"{name}.scale"]) if has_codes else found.pop(f"{name}.scale")
        assert (scale >= 0).all()
        found[f"{name}.weight"] = _weight(name, stored[f"{name}.codes"], scale, config)
    return config, found


def _check_manifest(folder: Path) -> None:
    promised = json.loads((folder / "manifest.json").read_bytes())["files"]
    for name, entry in promised.items():
        content = (folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"])


def _tensors(content: bytes) -> tuple[str, dict[str, NDArray[Any]]]:
    """The format's version that is said there, and every tensor as it is stored."""
    [length] = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    version = header.pop("__metadata__")["bitladder_format"]
    offsets = sorted(entry["data_offsets"] for entry in header.values())
    assert [0, *(end for _, end in offsets)] == [*(start for start, _ in offsets), len(data)]
    return version, {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], DTYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for name, entry in header.items()
    }


def _finite(array: NDArray[Any]) -> NDArray[np.float32]:
    assert np.isfinite(array).all()
    return array.astype(np.float32)


def _weight(
    name: str, bytes_OB: NDArray[np.uint8], scale: NDArray[np.float32], config: dict[str, Any]
) -> Any:
    bits = config["bitladder_precision"]["embeddings" if "_embeddings" in name else "weights"]
    is_five = bits == 2 and config.get("bitladder_trits_per_byte") == 5
    width = config.get("bitladder_width", 1)
    narrow = {".attention.output.dense": "hidden_size", "output.dense": "intermediate_size"}
    key = next((key for part, key in narrow.items() if part in name), None)
    columns = round(config[key] * width) if key else config["hidden_size"]
    codes_OI = fives(bytes_OB, columns) if is_five else fields(bytes_OB, bits, columns)
    # A scale for each row, for all of them, or for each group of neighbours in a row.
    return codes_OI * np.repeat(scale.reshape(len(scale), -1), columns // scale[0].size, axis=1)


def scales(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of codes of 8 bits."""
    powers = 2.0 ** ((codes.astype(float) - 225) / 16)
    return np.where(codes == 0, 0, powers).astype(np.float16).astype(np.float32)


def fields(bytes_OB: NDArray[np.uint8], bits: int, columns: int) -> NDArray[np.float32]:
    """Codes [O, I] of 1, 2, 4 or 8 bits, from the lowest bits of a byte upwards."""
    raw_OBC = bytes_OB[..., None].astype(int) >> np.arange(0, 8, bits) & (2**bits - 1)
    raw = raw_OBC.reshape(len(bytes_OB), -1)
    assert not raw[:, columns:].any(), "padding"
    raw, half = raw[:, :columns], 2 ** (bits - 1)
    assert bits == 1 or (raw != half).all(), "a code that is not used"
    return (2 * raw - 1 if bits == 1 else raw - 2 * half * (raw >= half)).astype(np.float32)


def fives(bytes_OB: NDArray[np.uint8], columns: int) -> NDArray[np.float32]:
    """Codes [O, I] of which a byte holds five."""
    assert (bytes_OB < 243).all()
    digits = (bytes_OB[..., None] // 3 ** np.arange(5) % 3).reshape(len(bytes_OB), -1)
    assert not digits[:, columns:].any(), "padding"
    return digits[:, :columns].astype(np.float32) - 1
