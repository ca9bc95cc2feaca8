"""Packed models of a size that kernels take, what they are asked, and how near two answers have to be."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tiny_rung import SIZES, batch, save_rung, write_tokenizer
from transformers import BertConfig

from bitladder import files
from bitladder.heads import ANSWERING_KEY, KIND_KEY, THRESHOLDS_KEY
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import build_bert
from bitladder.packed import format, tensors
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision
from pipeline.initialization.step_sizes import calibrate

Make = Callable[..., Path]
Inputs = dict[str, NDArray[np.int64]]
KERNEL_SIZES: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 192, "initializer_range": 0.3}
ANSWERING = {
    "max_length": 16,
    "doc_stride": 4,
    "max_question_length": 6,
    "max_answer_length": 5,
    "unanswerable": True,
    "no_answer_threshold": 0.5,
}
# Integer products are the same numbers both ways; the floats between them are sums taken in another order. So
# logits (of magnitude 1 to 3 here) agree to a few roundings, unless a value lies so near a threshold between
# two codes that a rounding takes it across. At 8 bits there are most thresholds (255, moving with each token)
# and the flip is small, 1/127 of a token's largest value; at 4 bits and 1 bit flips are rare and large.
ROUNDING = 1e-5
FLIPPED = {32: 1e-4, 8: 0.3, 4: 1.0, 1: 5.0}
PRECISIONS = [
    Precision(1, 1, 8),
    Precision(1, 1, 4),
    Precision(1, 1, 1),
    Precision(2, 2, 8),
    Precision(2, 4, 4),
    Precision(4, 8, 8),
    Precision(8, 8, 4),
    Precision(1, 32, 8),
    Precision(1, 4, 8, "matrix"),
    Precision(4, 1, 4, "matrix"),
    Precision(1, 2, 1, "matrix"),
    Precision(1, 1, 1, feed_forward_activations=8),
    Precision(1, 1, 1, feed_forward_activations=4),
    Precision(1, 1, 4, feed_forward_activations=1),
    Precision(2, 2, 4, feed_forward_activations=8),
    Precision(1, 1, 32),
    Precision(2, 4, 32),
    Precision(4, 4, 32, "matrix"),
    Precision(8, 8, 32),
    Precision(8, 8, 8),
    Precision(1, 1, 8, scale_bits=8),
    Precision(2, 8, 4, scale_bits=8),
    Precision(4, 32, 32, scale_bits=8),
]


def named(precision: Precision) -> str:
    bits = f"w{precision.weights}e{precision.embeddings}a{precision.activations}"
    bits += f"f{precision.feed_forward_activations}" if precision.feed_forward_activations else ""
    bits += "_scales8" if precision.scale_bits == 8 else ""
    return bits if precision.granularity == "row" else f"{bits}_{precision.granularity}"


OF_KINDS: dict[str, dict[str, Any]] = {
    "classification": {"id2label": {0: "wrong", 1: "right", 2: "neither"}},
    "question_answering": {
        "id2label": {0: "start", 1: "end"},
        "architectures": ["BertForQuestionAnswering"],
        ANSWERING_KEY: ANSWERING,
    },
    "multi_label": {
        "id2label": {0: "angry", 1: "funny", 2: "long"},
        "problem_type": "multi_label_classification",
        KIND_KEY: "multi_label",
        THRESHOLDS_KEY: [0.25, 0.5, 0.75],
    },
    "reranking": {"id2label": {0: "relevance"}, KIND_KEY: "reranking"},
    "embeddings": {
        "id2label": {0: "none"},  # transformers has some always
        "architectures": ["BertForSentenceEmbedding"],
        KIND_KEY: "embeddings",
    },
    "token_classification": {
        "id2label": {0: "O", 1: "B-PER", 2: "I-PER"},
        "architectures": ["BertForTokenClassification"],
        KIND_KEY: "token_classification",
    },
}


def make(
    tmp_path: Path,
    precision: Precision,
    *,
    answering: bool = False,
    kind: str = "classification",
    **sizes: Any,
) -> Path:
    """A packed folder of drawn weights; `kind`: of its task; `answering`: it answers questions."""
    torch.manual_seed(0)
    own = OF_KINDS["question_answering" if answering else kind]
    config = BertConfig(**{**SIZES, **KERNEL_SIZES, **sizes}, id2label=own["id2label"])
    for key, value in own.items():
        if key != "id2label":
            setattr(config, key, value)
    built = build_bert(config, precision)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if name.endswith(".bias") or "LayerNorm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    calibrate(built, batch(config.vocab_size))
    with torch.no_grad():  # the mean of a few whole numbers is one of them: values would lie on thresholds
        for name, parameter in built.named_parameters():
            if name.endswith(".shift"):
                parameter.add_(torch.randn_like(parameter) * 0.05)
    checkpoint.round_side_parameters(built)
    source = tmp_path / "trained"
    source.mkdir()
    write_tokenizer(source)
    checkpoint.save(source, built, built.config, tokenizer_from=tmp_path)
    with files.publish(tmp_path / "made") as folder:
        pack(source, folder)
    return tmp_path / "made"


def inputs(*, rows: int = 24, length: int = 17) -> Inputs:
    return {name: tensor.numpy() for name, tensor in batch(rows=rows, length=length).items()}


def agree(ours: NDArray[np.float32], theirs: NDArray[np.float32], bits: int) -> None:
    """Three sequences of four, or more, to a few roundings; the others to a flip."""
    differences = np.abs(ours - theirs).reshape(len(ours), -1).max(axis=1)
    assert (differences < ROUNDING).mean() >= 0.75
    assert differences.max() < FLIPPED[bits]


def republish(folder: Path, change: Callable[[dict[str, NDArray[Any]]], object]) -> None:
    """Change the tensors of a packed folder and give it a manifest that fits."""
    path = folder / format.WEIGHTS
    state, metadata = load_file(path), tensors.read_contents(path).metadata
    change(state)
    tensors.write(path, state, metadata)
    reseal(folder)


def reseal(folder: Path) -> None:
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != files.MANIFEST}
    with files.publish(folder) as target:
        for name, content in kept.items():
            (target / name).write_bytes(content)


@pytest.fixture(name="trained")
def trained_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a trained rung's folder: `trained(Precision(...), **options of save_rung)`."""

    def make(precision: Precision, **options: int) -> Path:
        with files.publish(tmp_path / "trained") as folder:
            save_rung(folder, precision, **options)
        return tmp_path / "trained"

    return make


@pytest.fixture(name="packed")
def packed_folder(trained: Callable[..., Path], tmp_path: Path) -> Path:
    """A published packed folder, W1A8."""
    with files.publish(tmp_path / "packed") as folder:
        pack(trained(Precision(1, 1, 8)), folder)
    return tmp_path / "packed"


@pytest.fixture(name="made")
def made_folder(tmp_path: Path) -> Make:
    """Make a packed folder that kernels run: `made(precision, answering=False, **sizes)`."""
    return partial(make, tmp_path)
