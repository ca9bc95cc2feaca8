"""The exported graph, run by stock ONNX Runtime, computes what docs/file-format.md says: beside a model
written from the document alone.
"""

import json
from pathlib import Path
from typing import Any

import document_reader
import numpy as np
import pytest
from document_arithmetic import Model
from packed_models import Make, inputs
from test_file_format_document import CASES, GOLDEN, NAMES
from tiny_rung import batch

from bitladder.exporting import checked
from bitladder.exporting.bert import Bert
from bitladder.exporting.products import Form
from bitladder.packed.format import read_config
from bitladder.packed.reading import open_weights
from bitladder.quantizers.precision import Precision

OF_32_BITS = {
    "w1": (Precision(1, 1, 32), {}),
    "w2": (Precision(2, 2, 32), {"hidden_size": 44, "intermediate_size": 45}),
    "w4": (Precision(4, 4, 32, "matrix"), {"hidden_act": "silu"}),
    "w8e32": (Precision(8, 32, 32), {}),
    "split": (Precision(1, 1, 32, split=True), {}),
}
MORE: dict[str, tuple[Precision, dict[str, Any]]] = {
    "w8a8": (Precision(8, 8, 8), {}),
    "more than a block": (Precision(1, 1, 8), {"hidden_size": 128, "intermediate_size": 272}),
}
ROUNDED = {name: case for name, case in {**CASES, **MORE}.items() if name not in ("w1", "groups")}
BY_INT8 = (
    "w1a8",
    "w1a4",
    "w1a2",
    "w1a1",
    "w1a1, relu",
    "w2e4a8, lsq",
    "w4e1a8, moving average",
    "split",
    "odd rows",
    "Bi-Attention",
    "w1a1, 8 bits into the second",
)


def differences(folder: Path, form: Form) -> np.ndarray[Any, Any]:
    """Largest of each row, of the tokens that are no padding."""
    graph = Bert(open_weights(folder, read_config(folder)), form).model({})
    ids = inputs(rows=12)
    found = checked.answers(checked.session(graph), ids)
    model = Model(*document_reader.read(folder))
    apart = list[float]()
    for row, length in enumerate(ids["attention_mask"].sum(axis=1)):
        wanted = model.logits(ids["input_ids"][row, :length], ids["token_type_ids"][row, :length])
        apart.append(float(np.abs(wanted.T - found[row, ..., : len(wanted)]).max()))
    assert found.std() > 0.1
    return np.array(apart)


@pytest.mark.parametrize(("precision", "options"), ROUNDED.values(), ids=ROUNDED)
def test_quantized_activations_keep_their_own_steps(
    made: Make, precision: Precision, options: dict[str, Any]
) -> None:
    """Sums in another order now and then take a value across a threshold between two codes; no more than
    that, though the operator rounds what it multiplies to 8 bits in its own way."""
    assert np.median(differences(made(precision, **options), "nbits")) < 1e-5


@pytest.mark.parametrize("name", BY_INT8)
def test_weights_of_8_bits_in_memory_compute_the_same(made: Make, name: str) -> None:
    precision, options = CASES[name]
    assert np.median(differences(made(precision, **options), "int8")) < 1e-5


@pytest.mark.parametrize(("precision", "options"), OF_32_BITS.values(), ids=OF_32_BITS)
def test_activations_of_32_bits_agree_in_every_row(
    made: Make, precision: Precision, options: dict[str, Any]
) -> None:
    assert differences(made(precision, **options), "nbits").max() < 2e-5


@pytest.mark.parametrize("name", NAMES)
def test_golden_models_say_the_same(name: str) -> None:
    folder = GOLDEN / name
    graph = Bert(open_weights(folder, read_config(folder)), "nbits").model({})
    ids = {key: values.numpy() for key, values in batch(42).items()}
    expected = json.loads((GOLDEN / f"{name}.json").read_text())
    np.testing.assert_allclose(checked.answers(checked.session(graph), ids), expected, rtol=0, atol=1e-4)
