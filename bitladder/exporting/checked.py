"""The written graph in ONNX Runtime: what it answers beside ours, and whether its operators are fast here.

Products of whole numbers are the same in both; sums of floats between them are taken in another order. With
32-bit activations that moves a logit by some 1e-6. With quantized ones a value that lies within such a
rounding of the threshold between two codes comes out one code further, and the row's logits differ by what
that carries (docs/file-format.md, "What agrees with what"): that is seldom, and a wrong graph is wrong
everywhere.

Shapes: B sequences, S tokens, L labels, E hidden size.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from bitladder.exporting.bert import INPUTS
from bitladder.exporting.graph import CONTRIB, model_of
from bitladder.exporting.products import Product
from bitladder.packed.format import PackedConfig
from bitladder.packed.reading import Floats
from bitladder.predict import PackedModel
from bitladder.quantizers.precision import FULL

Batch = dict[str, NDArray[np.int64]]
ROUNDING, FLIPPED = 1e-4, 0.05  # of the largest logit of all rows, that a row's may differ
SHARE = 0.75  # of the rows that have to agree so far, where activations are quantized; else all of them
_ROWS, _TOKENS = 16, 16
_SLOW = 3  # times a 32-bit product of the same shape


@dataclass(frozen=True)
class Agreement:
    """Logits of ONNX Runtime beside those of `bitladder.load`.

    Attributes:
        largest, mean: over rows, of a row's largest difference.
        largest_logit: its magnitude, over all rows of ours.
        agreeing: rows that differ by no more than `limit`.
        needed: how many rows have to.
    """

    rows: int
    largest: float
    mean: float
    largest_logit: float
    limit: float
    agreeing: int
    needed: int

    @property
    def holds(self) -> bool:
        return self.agreeing >= self.needed


def session(model: ModelProto | Path) -> Any:
    """ONNX Runtime on this processor, with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def answers(run: Any, batch: Batch) -> Floats:
    """As `PackedModel.logits` gives them: [B, L], [B, L, S] of heads that read every token, or [B, E]."""
    outputs = dict(zip([one.name for one in run.get_outputs()], run.run(None, batch), strict=True))
    if "start_logits" in outputs:
        return np.stack([outputs["start_logits"], outputs["end_logits"]], axis=1)
    [found] = outputs.values()
    logits: Floats = found.transpose(0, 2, 1) if found.ndim == 3 else found
    return logits


def compare(run: Any, model: PackedModel, batches: Iterable[Batch]) -> Agreement:
    """Both on the same rows."""
    differences, largest = list[float](), 0.0
    for batch in batches:
        ours, theirs = model.logits(*(batch[name] for name in INPUTS)), answers(run, batch)
        if ours.ndim == 3:  # padding's mean nothing
            is_token = batch["attention_mask"][:, None, :] != 0
            ours, theirs = np.where(is_token, ours, 0), np.where(is_token, theirs, 0)
        apart = np.abs(ours - theirs).reshape(len(ours), -1).max(axis=1)
        differences += [float(one) for one in np.where(np.isfinite(apart), apart, np.inf)]
        largest = max(largest, float(np.abs(ours).max()))
    is_full = model.config.precision.activations == FULL
    limit = (ROUNDING if is_full else FLIPPED) * largest
    needed = len(differences) if is_full else -int(-SHARE * len(differences) // 1)
    agreeing = sum(one <= limit for one in differences)
    return Agreement(
        len(differences), max(differences), float(np.mean(differences)), largest, limit, agreeing, needed
    )


def made_up(config: PackedConfig) -> list[Batch]:
    """Rows of drawn ids, of different lengths, for who has no texts at hand."""
    length = min(_TOKENS, config.max_length)
    drawn = np.random.default_rng(0)
    lengths = np.linspace(min(4, length), length, _ROWS).astype(int)[:, None]
    mask = (np.arange(length) < lengths).astype(np.int64)
    ids = drawn.integers(0, config.vocab_size, mask.shape) * mask
    second = np.arange(length) >= lengths // 2
    segments = (second & (config.num_texts == 2) & (config.type_vocab_size > 1)) * mask
    return [dict(zip(INPUTS, (ids, mask, segments), strict=True))]


def slow(asked: Iterable[Product]) -> dict[Product, float]:
    """Products for which MatMulNBits has no kernel on this processor, so that it unpacks the whole matrix at
    every call; how many times as long it takes of 16 rows as a product in 32 bits."""
    found = {product: _seconds(_of_nbits(product)) / _seconds(_of_floats(product)) for product in set(asked)}
    return {product: times for product, times in found.items() if times > _SLOW}


def _seconds(model: ModelProto) -> float:
    """The fastest of some: others may want the processor too."""
    run = session(model)
    [wanted] = run.get_inputs()
    values, found = np.ones((16, wanted.shape[1]), np.float32), []
    for _ in range(5):
        began = time.perf_counter()
        run.run(None, {wanted.name: values})
        found.append(time.perf_counter() - began)
    return min(found)


def _of_nbits(product: Product) -> ModelProto:
    num_blocks = -(-product.K // product.block_size)
    codes = np.zeros((product.N, num_blocks, product.block_size * product.bits // 8), np.uint8)
    constants: dict[str, NDArray[Any]] = {
        "codes": codes,
        "scales": np.ones((product.N, num_blocks), np.float32),
    }
    node = helper.make_node("MatMulNBits", ["x", *constants], ["y"], domain=CONTRIB, **vars(product))
    return _alone(node, constants, product)


def _of_floats(product: Product) -> ModelProto:
    constants: dict[str, NDArray[Any]] = {"weight": np.ones((product.K, product.N), np.float32)}
    return _alone(helper.make_node("MatMul", ["x", "weight"], ["y"]), constants, product)


def _alone(node: Any, constants: dict[str, NDArray[Any]], product: Product) -> ModelProto:
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", product.K])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", product.N])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return model_of(graph)
