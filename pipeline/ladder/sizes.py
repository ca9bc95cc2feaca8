"""How large a model's files will be, from its shape and precision alone, before anything is trained.

Counted by the one schema of packed files (`bitladder.packed.schema`). An estimate for `bitladder plan`: a
size that is claimed is measured on the written file.
"""

import importlib.util
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from bitladder import heads
from bitladder.modeling import architectures
from bitladder.packed import schema
from bitladder.packed.codes import FIVE_TRITS
from bitladder.packed.format import PackedConfig
from bitladder.packed.size import MATRICES
from bitladder.quantizers.names import WEIGHTS
from bitladder.quantizers.precision import Precision
from pipeline import kinds, paths
from pipeline.params import Params
from pipeline.rungs import PRETRAINED, Rung

# Words and letters of the generated corpus, nearly; the exact number is known once it is generated.
DEMO_VOCABULARY = 240
_FULL_BYTES = 4
_Size = Annotated[int, Field(strict=True, gt=0, le=2**24)]  # a config.json may come from anywhere


@dataclass(frozen=True)
class Shape:
    """The numbers of a BERT's config.json that decide its size and speed."""

    vocab_size: _Size
    hidden_size: _Size
    num_hidden_layers: _Size
    intermediate_size: _Size
    max_position_embeddings: _Size
    type_vocab_size: _Size = 2
    num_attention_heads: _Size = 12
    has_pooler: bool = True


def packed_bytes(shape: Shape, rung: Rung, *, num_labels: int) -> int:
    """Expected bytes of `packed/<rung>/model.safetensors`, its header left out."""
    stored = schema.tensors(_config(shape, rung.precision, rung, num_labels)).values()
    return sum(tensor.entry.num_bytes for tensor in stored)


def full_bytes(shape: Shape, rung: Rung | None = None, *, num_labels: int) -> int:
    """Expected bytes of `models/<name>/model.safetensors`: every latent parameter in full precision.

    A split model has every table and matrix twice, its biases once; some quantizers keep numbers of their own
    for each weight. Without a rung: of the teacher.
    """
    precision = rung.precision if rung else Precision()
    keeps = WEIGHTS[rung.weight_quantizer].keeps if rung and rung.weight_quantizer else 0
    stored = schema.tensors(_config(shape, precision, rung, num_labels)).values()
    once = sum(tensor.parameters for tensor in stored)
    kept = sum(tensor.parameters for tensor in stored if tensor.part in MATRICES) * keeps
    return (once + kept) * _FULL_BYTES


def _config(shape: Shape, precision: Precision, rung: Rung | None, num_labels: int) -> PackedConfig:
    """What the packed model's config.json would say, as far as its tensors go by it."""
    return PackedConfig.model_construct(
        **{name: value for name, value in vars(shape).items() if name != "has_pooler"},
        precision=precision,
        architectures=[
            (heads.SEQUENCE if shape.has_pooler else heads.TOKENS if num_labels else heads.VECTOR).packed
        ],
        hidden_act=rung.hidden_act or "gelu" if rung else "gelu",
        id2label={str(label): str(label) for label in range(num_labels)},
        width=rung.width if rung and rung.width != 1 else None,
        trits_per_byte=FIVE_TRITS,
    )


def shape_of(params: Params) -> Shape | None:
    """The shape of the pre-trained model, where it can be known without a network; else None."""
    architecture = params.model.architecture
    if architecture is not None:
        sizes = architecture.model_dump(include={field.name for field in fields(Shape)})
        return Shape(vocab_size=DEMO_VOCABULARY, **sizes)
    if (config := _pretrained_config(params)) is None:
        return None
    try:
        values = architectures.bert_config(json.loads(config.read_text(encoding="utf-8")))
        shape = TypeAdapter(Shape).validate_python(values)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return replace(shape, has_pooler=kinds.of(params.task).head.has_pooler)


def _pretrained_config(params: Params) -> Path | None:
    """Where the pre-trained model's config.json lies on this machine."""
    source, location = params.model.source, params.model.location or ""
    try:
        if source == "teacher" and params.teacher.source == "path":
            folder = Path(params.teacher.location or "").expanduser()
        elif source == "path":
            folder = Path(location).expanduser()
        elif source == "package":
            spec = importlib.util.find_spec(location)
            folder = Path(next(iter((spec and spec.submodule_search_locations) or ())))
        else:  # what the stage `pretrained` has fetched before, if it was this model
            folder = paths.model_dir(PRETRAINED)
            record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
            settings = record["settings"]
            if settings.get("location", "") != (params.teacher.location or location):
                return None
    except (ImportError, OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
    configs = [*folder.glob("config.json"), *sorted(folder.glob("*/config.json"))]
    return configs[0] if configs else None
