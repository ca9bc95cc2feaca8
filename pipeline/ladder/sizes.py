"""How large a packed model will be, from its shape and bits alone, before anything is trained.

Packed: codes of every table, encoder and pooler matrix at their bits, one half-precision scale per row (or
per matrix, or group), biases and LayerNorms in half precision, the head in full. An estimate for `bitladder
plan`: a size that is claimed is measured on the written file."""

import importlib.util
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bitladder.quantizers.names import WEIGHTS
from pipeline import paths
from pipeline.params import Params
from pipeline.rungs import PRETRAINED, Rung

MIB = 2**20
# Words and letters of the generated corpus, nearly; the exact number is known once it is generated.
DEMO_VOCABULARY = 240
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")
_FULL_BYTES, _HALF_BYTES = 4, 2
_LARGEST = 2**24  # a config.json may come from anywhere


@dataclass(frozen=True)
class Shape:
    """The numbers of a BERT's config.json that decide its size and speed."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    num_attention_heads: int = 12
    has_pooler: bool = True

    def tables(self) -> list[tuple[int, int]]:
        """(rows, columns) of the word, position and segment tables."""
        rows = (self.vocab_size, self.max_position_embeddings, self.type_vocab_size)
        return [(count, self.hidden_size) for count in rows]

    def matrices(self, width: float = 1.0) -> list[tuple[int, int]]:
        """(rows, columns) of the encoder's matrices, at this share of its width, and of a pooler."""
        hidden = self.hidden_size
        heads, inner = round(width * hidden), round(width * self.intermediate_size)
        layer = [*[(heads, hidden)] * 3, (hidden, heads), (inner, hidden), (hidden, inner)]
        return layer * self.num_hidden_layers + ([(hidden, hidden)] if self.has_pooler else [])

    def side_parameters(self, width: float = 1.0) -> int:
        """Biases and LayerNorms."""
        biases = sum(rows for rows, _ in self.matrices(width))
        return biases + 2 * self.hidden_size * (2 * self.num_hidden_layers + 1)

    def head_parameters(self, num_labels: int) -> int:
        return (self.hidden_size + 1) * num_labels

    def shifts(self, width: float = 1.0, *, shifted_heads: int = 3, after_relu: bool = False) -> int:
        """Learned shifts of elastic activations: one per channel of each linear's input and of Q, K, V.

        Args:
            shifted_heads: how many of Q, K and V have some.
            after_relu: what ReLU puts out has none.
        """
        products = shifted_heads * round(width * self.hidden_size) * self.num_hidden_layers
        unshifted = round(width * self.intermediate_size) * self.num_hidden_layers if after_relu else 0
        return sum(columns for _, columns in self.matrices(width)) + products - unshifted


def packed_bytes(shape: Shape, rung: Rung, *, num_labels: int) -> int:
    """Expected bytes of `packed/<rung>/model.safetensors`, its header left out."""
    linears = shape.matrices(rung.width)
    tables = sum(_codes(rows, columns, rung.precision.embeddings) for rows, columns in shape.tables())
    matrices = sum(_codes(rows, columns, rung.precision.weights) for rows, columns in linears)
    scales = sum(_scales(rows, columns, rung) for rows, columns in shape.tables() + linears)
    quantized = (tables + matrices + scales * _HALF_BYTES) * (2 if rung.split else 1)
    side = shape.side_parameters(rung.width) + _shifts(shape, rung)
    return quantized + side * _HALF_BYTES + shape.head_parameters(num_labels) * _FULL_BYTES


def _scales(rows: int, columns: int, rung: Rung) -> int:
    if rung.granularity == "matrix":
        return 1
    return rows * (columns // rung.group_size if rung.group_size else 1)


def _shifts(shape: Shape, rung: Rung) -> int:
    precision = rung.precision
    if precision.quantizer_of_activations() != "elastic":
        return 0
    heads, after_relu = 1 if precision.attention == "bi" else 3, rung.hidden_act == "relu"
    return shape.shifts(rung.width, shifted_heads=heads, after_relu=after_relu)


def full_bytes(shape: Shape, rung: Rung | None = None, *, num_labels: int) -> int:
    """Expected bytes of `models/<name>/model.safetensors`: every latent parameter in full precision.

    A split model has every table and matrix twice, its biases once; some quantizers keep numbers of their own
    for each weight. Without a rung: of the teacher.
    """
    width, copies = (rung.width, 1 + rung.split) if rung else (1.0, 1)
    keeps = WEIGHTS[rung.weight_quantizer].keeps if rung and rung.weight_quantizer else 0
    tensors = sum(rows * columns for rows, columns in shape.tables() + shape.matrices(width))
    side = shape.side_parameters(width) + shape.head_parameters(num_labels)
    return (tensors * copies * (1 + keeps) + side) * _FULL_BYTES


def shape_of(params: Params) -> Shape | None:
    """The shape of the pre-trained model, where it can be known without a network; else None."""
    architecture = params.model.architecture
    if architecture is not None:
        sizes = architecture.model_dump(include={field.name for field in fields(Shape)})
        return Shape(vocab_size=DEMO_VOCABULARY, **sizes)
    folder = _pretrained_folder(params)
    shape = _read(folder / "config.json") if folder else None
    return shape and replace(shape, has_pooler=params.task.answering is None)


def tokenizer_bytes(params: Params) -> int:
    """Size of the tokenizer's files, which lie beside every model; 0 where there is none to look at yet."""
    folder = paths.model_dir(PRETRAINED) if params.model.source == "demo" else _pretrained_folder(params)
    places = [folder / name for name in TOKENIZER_FILES] if folder else []
    return sum(place.stat().st_size for place in places if place.is_file())


def _pretrained_folder(params: Params) -> Path | None:
    """Where the pre-trained model's config.json lies on this machine."""
    model = params.model
    folder = {"path": _folder, "package": _package}.get(model.source, _fetched)(model.location or "")
    if folder is None:
        return None
    configs = [*folder.glob("config.json"), *sorted(folder.glob("*/config.json"))]
    return configs[0].parent if configs else None


def _codes(rows: int, columns: int, bits: int) -> int:
    # A byte holds five ternary codes: see bitladder/packed/codes.py.
    return rows * (-(-columns // 5) if bits == 2 else (columns * bits + 7) // 8)


def _folder(location: str) -> Path:
    return Path(location).expanduser()


def _package(location: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(location)
    except (ImportError, ValueError):
        return None
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _fetched(location: str) -> Path | None:
    """What the stage `pretrained` has fetched before, if it was this model."""
    folder = paths.model_dir(PRETRAINED)
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        return folder if record["settings"]["location"] == location else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(path: Path) -> Shape | None:
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
        sizes = {
            field.name: config[field.name]
            for field in fields(Shape)
            if field.name in config and field.name != "has_pooler"
        }
        if all(type(size) is int and 0 < size <= _LARGEST for size in sizes.values()):
            return Shape(**sizes)
    except (OSError, ValueError, TypeError):
        pass
    return None
