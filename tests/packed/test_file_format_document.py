"""docs/file-format.md is enough: a reader and a model written from it alone decode every way of writing and
compute what ours do.
"""

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import document_reader
import numpy as np
import pytest
import torch
from document_arithmetic import Model
from packed_models import Make, inputs
from tiny_rung import batch

from bitladder.modeling.traces import logits_of
from bitladder.packed import format
from bitladder.quantizers.precision import Precision
from bitladder.transformers_model.layers import Packed
from bitladder.transformers_model.model import load

DOCUMENT = (Path(__file__).parents[2] / "docs" / "file-format.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))
BY_HAND = {2: ("+1 -1 0 +1 -1", bytes([0x4D, 0x03])), 1.6: ("+1 -1 0 +1 0", bytes([146]))}
CASES: dict[str, tuple[Precision, dict[str, Any]]] = {
    "w1": (Precision(1, 1, 32), {}),
    "w1a8": (Precision(1, 1, 8), {"hidden_act": "silu"}),
    "w1a4": (Precision(1, 1, 4), {}),
    "w1a2": (Precision(1, 1, 2), {}),
    "w1a1": (Precision(1, 1, 1), {}),
    "w2e4a8, lsq": (Precision(2, 4, 8, activation_quantizer="lsq"), {"hidden_act": "gelu_new"}),
    "w4e1a8, moving average": (Precision(4, 1, 8, activation_quantizer="min_max_ema"), {}),
    "w8e2a4, relu": (Precision(8, 2, 4, "matrix"), {"hidden_act": "relu"}),
    "w1a1, relu": (Precision(1, 1, 1), {"hidden_act": "relu"}),
    "Bi-Attention": (Precision(1, 1, 1, attention="bi"), {}),
    "signs": (Precision(1, 1, 1, attention="bi", activation_quantizer="sign"), {}),
    "split": (Precision(1, 1, 8, split=True), {}),
    "groups": (Precision(2, 8, 8, "group", group_size=16), {}),
    "scales of 8 bits": (Precision(1, 1, 8, scale_bits=8), {}),
    "scales of 8 bits, w4e2a4": (Precision(4, 2, 4, scale_bits=8), {}),
    "scales of 8 bits, split": (Precision(1, 1, 8, split=True, scale_bits=8), {}),
    "half width": (Precision(4, 32, 8), {"bitladder_width": 0.5}),
    "odd rows": (Precision(2, 2, 8), {"hidden_size": 44, "intermediate_size": 45}),
    "another function behind the pooler": (Precision(1, 1, 8), {"bitladder_pooler_act": "relu"}),
    "w1a1, 8 bits into the second": (Precision(1, 1, 1, feed_forward_activations=8), {}),
    "w1a4, 1 bit into the second": (Precision(1, 1, 4, feed_forward_activations=1), {}),
    "w1a1, 4 bits into the second, relu": (
        Precision(1, 1, 1, feed_forward_activations=4),
        {"hidden_act": "relu"},
    ),
    "an answer": (Precision(1, 1, 4), {"answering": True}),
    "several labels": (Precision(1, 1, 4), {"kind": "multi_label"}),
    "a rank": (Precision(1, 1, 4), {"kind": "reranking"}),
    "tags": (Precision(1, 1, 4), {"kind": "token_classification"}),
}


def decoded(folder: Path) -> dict[str, Any]:
    """What ours make of the same folder: weights of what is packed, and all else."""
    model = load(folder)
    packed = {name: layer for name, layer in model.named_modules() if isinstance(layer, Packed)}
    weights = {f"{n}.weight": p.quantized(p.codes, p.scale).values_OI.numpy() for n, p in packed.items()}
    codes = {f"{name}.{part}" for name in packed for part in ("codes", "scale")}
    return weights | {n: t.numpy() for n, t in model.state_dict().items() if n not in codes}


@pytest.mark.parametrize("name", NAMES)
def test_golden_folders_are_decoded_alike(name: str) -> None:
    _, found = document_reader.read(GOLDEN / name)
    wanted = decoded(GOLDEN / name)
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        np.testing.assert_array_equal(found[key], values, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_golden_models_say_the_same(name: str) -> None:
    model = Model(*document_reader.read(GOLDEN / name))
    ids = {key: values.numpy() for key, values in batch(42).items()}
    rows = zip(ids["input_ids"], ids["token_type_ids"], ids["attention_mask"], strict=True)
    found = [model.logits(*row) for row in rows]
    expected = json.loads((GOLDEN / f"{name}.json").read_text())
    np.testing.assert_allclose(np.array(found), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("precision", "options"), CASES.values(), ids=CASES)
def test_everything_that_can_be_written_is_computed_as_ours_compute_it(
    made: Make, precision: Precision, options: dict[str, Any]
) -> None:
    folder = made(precision, **options)
    config, tensors = document_reader.read(folder)
    for key, values in decoded(folder).items():
        np.testing.assert_array_equal(tensors[key], values, err_msg=key)
    ids = inputs(rows=12)
    with torch.no_grad():
        output = load(folder)(**{key: torch.from_numpy(values) for key, values in ids.items()})
    theirs = logits_of(output, torch.from_numpy(ids["attention_mask"])).numpy()
    model, differences = Model(config, tensors), []
    for row, length in enumerate(ids["attention_mask"].sum(axis=1)):
        ours = model.logits(ids["input_ids"][row, :length], ids["token_type_ids"][row, :length])
        differences.append(np.abs(ours.T - theirs[row, ..., : len(ours)]).max())
    # Sums in another order now and then take a value across a threshold between two codes.
    assert np.median(differences) < 1e-4
    assert theirs.std() > 0.1


@pytest.mark.parametrize("bits", BY_HAND)
def test_the_examples_by_hand_are_right(bits: float) -> None:
    codes, stored = BY_HAND[bits]
    row = np.frombuffer(stored, np.uint8)[None]
    found = document_reader.fives(row, 5) if bits == 1.6 else document_reader.fields(row, 2, 5)
    assert codes in DOCUMENT
    assert found.tolist() == [[int(code) for code in codes.split()]]


def test_the_scales_by_hand_are_right() -> None:
    codes = np.array([0, 1, 225, 226, 241, 255], np.uint8)
    found = document_reader.scales(codes).tolist()
    assert found == [0, 2**-14, 1, float(np.float16(2 ** (1 / 16))), 2, float(np.float16(2**1.875))]
    assert "226 is 1.0439453125" in DOCUMENT
    assert found[3] == 1.0439453125


@pytest.mark.parametrize(
    "keys",
    [
        [field.alias or name for name, field in format.PackedConfig.model_fields.items()],
        [*format.AnsweringFields.model_fields],
        [field.name for field in fields(Precision) if field.name != "weight_quantizer"],
    ],
    ids=["config", "answering", "precision"],
)
def test_every_key_of_config_json_is_named(keys: list[str]) -> None:
    assert [key for key in keys if f"`{key}" not in DOCUMENT] == []


@pytest.mark.parametrize("stored", [0b10, 0b01000001], ids=["a code that is not used", "padding"])
def test_the_documents_reader_refuses_what_packing_cannot_write(stored: int) -> None:
    with pytest.raises(AssertionError):
        document_reader.fields(np.array([[stored]], np.uint8), 2, 3)


def test_the_documents_reader_refuses_a_folder_with_something_changed(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / NAMES[0], tmp_path / "folder")
    (tmp_path / "folder" / "config.json").write_text("{}")
    with pytest.raises(AssertionError):
        document_reader.read(tmp_path / "folder")
