"""Packing a trained rung: the same bytes twice, and nothing rounded in silence."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.packed.tensors import read_contents
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision

STEP = "bert.encoder.layer.0.attention.self.query.activation.log_step"
NORM = "bert.embeddings.LayerNorm.weight"
LATENT = "bert.encoder.layer.1.output.dense.weight"


def test_the_same_rung_packs_to_the_same_bytes(trained: Callable[..., Path], tmp_path: Path) -> None:
    source = trained(Precision(2, 4, 4))
    for name in ("one", "two"):
        with files.publish(tmp_path / name) as folder:
            pack(source, folder)
    assert files.verify(tmp_path / "one") == files.verify(tmp_path / "two")


def test_matrices_become_codes_and_scales_and_the_head_stays(packed: Path) -> None:
    entries = read_contents(packed / "model.safetensors").entries
    name = "bert.encoder.layer.0.output.dense"
    assert entries[f"{name}.codes"].shape == (32, math.ceil(45 / 8))
    assert (entries[f"{name}.scale"].dtype, entries[f"{name}.scale"].shape) == ("F16", (32,))
    assert entries[f"{name}.bias"].dtype == "F16"
    assert entries["classifier.weight"].dtype == "F32"
    assert not any(
        entry.dtype == "F32" for name, entry in entries.items() if not name.startswith("classifier.")
    )


def test_a_scale_per_matrix_is_one_number(trained: Callable[..., Path], tmp_path: Path) -> None:
    pack(trained(Precision(1, 1, 32, "matrix")), tmp_path)
    entries = read_contents(tmp_path / "model.safetensors").entries
    assert entries["bert.embeddings.word_embeddings.scale"].shape == (1,)


def test_scales_of_8_bits_are_a_byte_each(trained: Callable[..., Path], tmp_path: Path) -> None:
    pack(trained(Precision(1, 1, 8, scale_bits=8)), tmp_path)
    entries = read_contents(tmp_path / "model.safetensors").entries
    scales = [entry for name, entry in entries.items() if name.endswith(".scale")]
    assert {entry.dtype for entry in scales} == {"U8"}
    assert sum(entry.num_bytes for entry in scales) == 99 + 17 + 2 + 2 * (5 * 32 + 45) + 32


def test_metadata_names_the_format_and_transformers_own_key(packed: Path) -> None:
    assert read_contents(packed / "model.safetensors").metadata == {"format": "pt", "bitladder_format": "2"}


def test_a_model_in_full_precision_is_refused(trained: Callable[..., Path], tmp_path: Path) -> None:
    source = trained(Precision(1, 1, 32))
    values = files.read_json(source / "config.json")
    del values["bitladder_precision"]
    files.write_json(source / "config.json", values)
    with pytest.raises(ValueError, match="full-precision weights"):
        pack(source, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (NORM, 1.0001, "is not exactly a half-precision number"),
        (NORM, math.nan, "holds NaN"),
        (NORM, 1e6, "is not exactly a half-precision number"),
        (STEP, math.nan, "the step was never set"),
        (LATENT, math.inf, "holds NaN or infinity"),
        ("classifier.bias", math.nan, "holds NaN"),
    ],
)
def test_a_value_that_cannot_be_stored_exactly_is_refused_by_name(
    trained: Callable[..., Path], tmp_path: Path, name: str, value: float, said: str
) -> None:
    source = trained(Precision(1, 1, 4))
    state = load_file(source / checkpoint.WEIGHTS)
    state[name] = torch.full_like(state[name], value)
    save_file(state, source / checkpoint.WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"{name}: .*{said}"):
        pack(source, tmp_path)
