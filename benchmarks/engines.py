"""The engines that are timed side by side, and what each needs. Nothing here imports one.

Ours run the packed folder; the others run the same shape as somebody would who has that library. All compute
a classifier's logits from the same ids.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

FLOATS = "fp32"  # the folder of the model that every rival is made from


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        modules: must be installed to make its file and to run it.
        folder: of its file, within a model's; several may share one.
        weights: the files of its weights in that folder; none: they are computed from the fp32 file, as the
            library keeps the model in memory only.
        bits: of weights and activations, of ours.
        exported: the engine of ours whose file was exported; none of a rival's own.
    """

    name: str
    modules: tuple[str, ...]
    folder: str
    weights: tuple[str, ...] = ()
    bits: tuple[int, int] | None = None
    exported: str = ""

    @property
    def is_ours(self) -> bool:
        return self.bits is not None

    @property
    def can_be_held(self) -> bool:
        """Whether it can be told to use only some of the processor's instructions."""
        return not self.name.startswith("onnxruntime")

    def missing(self) -> list[str]:
        """The modules it needs that are not installed."""
        return [name for name in self.modules if find_spec(name) is None]

    def file_bytes(self, model: Path) -> int:
        """Of its weights' files in a model's folder; of those that have none, what their tensors take."""
        if self.weights:
            return sum((model / self.folder / name).stat().st_size for name in self.weights)
        from bitladder.packed.tensors import read_contents

        entries = read_contents(model / FLOATS / "model.safetensors").entries.items()
        if self.name == "torch-bf16":
            return sum(entry.num_bytes // 2 for _, entry in entries)
        # Linear layers in whole numbers, the rest, tables included, in 32 bits.
        return sum(entry.num_bytes // (4 if _is_linear(name) else 1) for name, entry in entries)


def _is_linear(name: str) -> bool:
    return name.endswith(".weight") and "embeddings" not in name and "LayerNorm" not in name


def _ours(weights: int, activations: int) -> Engine:
    name = f"w{weights}a{activations}"
    return Engine(name, ("numba",), name, ("model.safetensors",), (weights, activations))


def _exported(name: str, ours: str) -> Engine:
    return Engine(name, ("onnx", "onnxruntime"), name, ("model.onnx",), exported=ours)


_OPENVINO = ("openvino", "nncf")
_FILES = ("model.xml", "model.bin")
_LISTED = [
    _ours(1, 8),
    _ours(1, 4),
    _ours(1, 1),
    _ours(2, 8),
    Engine("torch-fp32", ("torch",), FLOATS, ("model.safetensors",)),
    Engine("torch-bf16", ("torch",), FLOATS),
    Engine("torch-int8", ("torch",), FLOATS),
    Engine("onnxruntime-int8", ("onnx", "onnxruntime"), "onnxruntime-int8", ("model.onnx",)),
    _exported("onnxruntime-w1a8", "w1a8"),
    _exported("onnxruntime-w1a8-in-8-bits", "w1a8"),
    Engine("openvino-fp32", _OPENVINO, "openvino-fp32", _FILES),
    Engine("openvino-int8", _OPENVINO, "openvino-int8", _FILES),
]
ENGINES = {engine.name: engine for engine in _LISTED}
