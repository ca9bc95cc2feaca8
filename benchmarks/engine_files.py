"""Makes the files that an engine runs, once, under a folder for each model.

    python benchmarks/engine_files.py ENGINE MODEL FOLDER

Random weights (see random_berts.py). Rivals are made from one fp32 model by the library's own way: ONNX by
torch's exporter, the graph fused, then quantized dynamically; OpenVINO by its own converter; its int8 by
NNCF, statically, calibrated on made-up ids.
"""

import sys
from pathlib import Path
from typing import Any, Literal

from engines import ENGINES, FLOATS
from random_berts import build, save, save_packed
from shapes import SHAPES, Shape, spread_ids

from bitladder import files
from bitladder.quantizers.precision import Precision

Form = Literal["nbits", "int8"]

_CALIBRATION = ((1, 16), (1, 64), (1, 128), (4, 128))  # rows, tokens


def make(name: str, shape: Shape, model: Path) -> None:
    """Publish an engine's folder, and before it the fp32 model's where a rival has none yet."""
    engine = ENGINES[name]
    model.mkdir(parents=True, exist_ok=True)
    if engine.bits is not None:
        weights, activations = engine.bits
        save_packed(model / engine.folder, shape, Precision(weights, weights, activations))
        return
    if engine.exported:
        if not (model / engine.exported).is_dir():
            make(engine.exported, shape, model)
        with files.publish(model / engine.folder) as folder:
            _export(model / engine.exported, folder, "int8" if name.endswith("-in-8-bits") else "nbits")
        return
    if not (model / FLOATS).is_dir():
        with files.publish(model / FLOATS) as folder:
            save(folder, build(shape))
    if engine.folder != FLOATS:
        with files.publish(model / engine.folder) as folder:
            if name == "onnxruntime-int8":
                _onnx(shape, model / FLOATS, folder)
            else:
                _openvino(shape, model / FLOATS, folder, int8=name == "openvino-int8")


def _onnx(shape: Shape, floats: Path, target: Path) -> None:
    import torch
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    batch = _tensors(shape)
    plain, fused = target / "plain.onnx", target / "fused.onnx"
    axes = {name: {0: "rows", 1: "tokens"} for name in batch}
    # Without dynamo and with eager attention, or nothing is fused into an Attention.
    torch.onnx.export(
        _logits_alone(floats, "eager"),
        tuple(batch.values()),
        str(plain),
        input_names=list(batch),
        output_names=["logits"],
        dynamic_axes={**axes, "logits": {0: "rows"}},
        opset_version=17,
        dynamo=False,
    )
    heads, hidden = shape.num_attention_heads, shape.hidden_size
    optimize_model(str(plain), "bert", num_heads=heads, hidden_size=hidden).save_model_to_file(str(fused))
    options = {"DefaultTensorType": TensorProto.FLOAT}
    quantize_dynamic(fused, target / "model.onnx", weight_type=QuantType.QInt8, extra_options=options)
    plain.unlink()
    fused.unlink()


def _export(packed: Path, target: Path, form: Form) -> None:
    from bitladder.exporting.bert import Bert
    from bitladder.packed.format import read_config
    from bitladder.packed.reading import open_weights

    graph = Bert(open_weights(packed, read_config(packed)), form).model({})
    (target / "model.onnx").write_bytes(graph.SerializeToString())


def _openvino(shape: Shape, floats: Path, target: Path, *, int8: bool) -> None:
    import nncf
    import openvino

    example = _tensors(shape)
    made = openvino.convert_model(_logits_alone(floats, "sdpa"), example_input=example)
    if int8:
        samples = [spread_ids(*size, vocab_size=shape.vocab_size) for size in _CALIBRATION]
        data = nncf.Dataset(samples)
        made = nncf.quantize(made, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples))
    openvino.save_model(made, target / "model.xml", compress_to_fp16=int8)


def _tensors(shape: Shape) -> dict[str, Any]:
    import torch

    ids = spread_ids(2, 16, vocab_size=shape.vocab_size)
    return {name: torch.from_numpy(values) for name, values in ids.items()}


def _logits_alone(floats: Path, attention: str) -> Any:
    """The model as transformers loads it, with a tensor as its output."""
    from torch import Tensor, nn
    from transformers import BertForSequenceClassification

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = BertForSequenceClassification.from_pretrained(floats, attn_implementation=attention)

        def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Any:
            return self.model(input_ids, attention_mask, token_type_ids)[0]

    return Logits().eval()


if __name__ == "__main__":
    make(sys.argv[1], SHAPES[sys.argv[2]], Path(sys.argv[3]))
