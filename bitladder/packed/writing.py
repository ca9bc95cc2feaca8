"""From a trained rung to a packed folder.

Nothing is rounded here: codes and scales are computed by the quantizers the rung was trained with, and side
parameters (LayerNorms, biases, steps, shifts) were rounded to half precision when training ended. A value
for which that is not so would make the packed model another model, and is refused by name.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers.models.bert.configuration_bert import BertConfig

from bitladder import files, heads
from bitladder.heads import ANSWERING_KEY, KIND_KEY, THRESHOLDS_KEY
from bitladder.modeling import checkpoint
from bitladder.modeling.architectures import POOLER_ACT_KEY, SHAPE
from bitladder.modeling.bert import precision_of, width_of
from bitladder.modeling.layers import QuantizedEmbedding, QuantizedLinear
from bitladder.packed import codes, format, reading, schema, tensors
from bitladder.packed.format import PackedConfig, ReadingFields
from bitladder.quantizers import scale_codes
from bitladder.quantizers.precision import FULL
from bitladder.text.tokens import copy_tokenizer

_KEPT = (*SHAPE, "pad_token_id")
# By these sentence-transformers finds that one of its modules, around transformers' model, gives the vectors.
_MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
_VECTORS = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "sentence_embedding",
}
_OURS = (POOLER_ACT_KEY, ANSWERING_KEY, KIND_KEY, THRESHOLDS_KEY)


def pack(model_folder: Path, target_folder: Path, reading: ReadingFields | None = None) -> None:
    """Write config.json, model.safetensors and the tokenizer of a trained rung into an existing folder.

    `reading`: what its task reads, unless that is question answering.

    Raises:
        ValueError: the model is not quantized, its parameters were not rounded, or a value is not finite.
    """
    model = checkpoint.load_bert(model_folder)
    config = packed_config(model.config, reading)
    tensors.write(target_folder / format.WEIGHTS, packed_arrays(model, config), config.metadata)
    files.write_json(target_folder / format.CONFIG, config.as_dict())
    copy_tokenizer(model_folder, target_folder)
    if (settings := target_folder / "tokenizer_config.json").is_file():
        # So that transformers' own `truncation=True` cuts where the model was scored.
        files.write_json(settings, {**files.read_json(settings), "model_max_length": config.max_length})
    if config.head is heads.VECTOR:
        files.write_json(target_folder / "modules.json", _MODULES)
        own = {**_VECTORS, "max_seq_length": config.max_length}
        files.write_json(target_folder / "sentence_bert_config.json", own)


def packed_config(config: BertConfig, reading: ReadingFields | None = None) -> PackedConfig:
    """config.json of the packed folder of a trained model. Raises ValueError when it is not quantized."""
    precision = precision_of(config)
    if precision.weights == FULL:
        raise ValueError("the model has full-precision weights; only a rung of the ladder can be packed")
    head = heads.of(config.architectures)
    named = (config.id2label or {}).items() if head.layer else ()  # transformers always has some
    id2label = {str(number): str(name) for number, name in named}
    values = {
        **{key: getattr(config, key) for key in _KEPT},
        "model_type": format.MODEL_TYPE,
        "architectures": [head.packed],
        "attn_implementation": format.ATTENTION,
        "dtype": "float32",
        "bitladder_format": format.FORMAT,
        # Codes and scales say all of the weights; which quantizer found them is in the record.
        "bitladder_precision": replace(precision, weight_quantizer=None).as_dict(),
        "bitladder_width": None if width_of(config) == 1 else width_of(config),
        "bitladder_trits_per_byte": 5 if 2 in (precision.weights, precision.embeddings) else None,
        "id2label": id2label,
        "label2id": {name: int(number) for number, name in id2label.items()},
        "problem_type": config.problem_type,
        **{key: getattr(config, key, None) for key in _OURS},
        "bitladder_reading": None if reading is None else reading.model_dump(),
    }
    return format.parse_config(values, source="the packed model's config.json")


def packed_arrays(model: nn.Module, config: PackedConfig) -> dict[str, NDArray[Any]]:
    """Every tensor of the packed file, by name, in the dtype it is stored in. Raises ValueError as `pack`."""
    wanted = {name: stored.entry for name, stored in schema.tensors(config).items()}
    arrays: dict[str, NDArray[Any]] = {}
    state = model.state_dict()
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            unset = "; the step was never set" if name.endswith("log_step") else ""
            raise ValueError(f"{name}: holds NaN or infinity{unset}")
    for name, layer in model.named_modules():
        if isinstance(layer, QuantizedLinear | QuantizedEmbedding):
            arrays |= _matrix(name, layer, config)
            made_of = (f"{name}.weight", f"{name}.quantizer.")
            state = {key: tensor for key, tensor in state.items() if not key.startswith(made_of)}
    for name, tensor in state.items():
        is_half = name in wanted and wanted[name].dtype == "F16"
        array = tensor.float().contiguous().numpy()
        arrays[name] = exactly_half(name, array) if is_half else array
    found = {name: tensors.entry(array) for name, array in arrays.items()}
    reading.check_entries(found, wanted, source="the trained model, packed")
    return arrays


def _matrix(
    name: str, layer: QuantizedLinear | QuantizedEmbedding, config: PackedConfig
) -> dict[str, NDArray[Any]]:
    assert layer.quantizer is not None
    layout, quantized = layer.quantizer.layout, layer.quantizer.quantize(layer.weight)
    scale = quantized.scale_OG.reshape(layout.scale_shape)
    stored = scale_codes.encode if layout.scale_bits == 8 else exactly_half
    return {
        f"{name}{schema.CODES}": codes.pack(quantized.codes_OI.numpy(), config.stored_bits(layout.bits)),
        f"{name}{schema.SCALE}": stored(f"{name}{schema.SCALE}", scale.numpy()),
    }


def exactly_half(name: str, values: NDArray[Any]) -> NDArray[np.float16]:
    """The same numbers in half precision. Raises ValueError when that has no such number."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.array_equal(half.astype(values.dtype), values):
        worst = values[half.astype(values.dtype) != values][0].item()
        raise ValueError(
            f"{name}: {worst!r} is not exactly a half-precision number; round_side_parameters was not called"
        )
    return half
