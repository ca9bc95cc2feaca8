"""A packed sentence encoder: its vectors by the kernels, by torch and by sentence-transformers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from packed_models import Make, agree, inputs, made_folder

import bitladder
from bitladder import hub
from bitladder.answers.embeddings import formed
from bitladder.modeling import checkpoint
from bitladder.packed import format
from bitladder.predict import PackedModel
from bitladder.quantizers.precision import Precision
from bitladder.runtime.kernels.engines import TORCH
from bitladder.transformers_model.model import load as load_torch

__all__ = ["made_folder"]  # a fixture
TEXTS = ["river", "the lake in the garden", "a window"]
every_precision = pytest.mark.parametrize("bits", [8, 4, 1])


@pytest.fixture(name="folder")
def encoder_folder(made: Make) -> Path:
    return made(Precision(1, 1, 8), kind="embeddings")


@pytest.fixture(name="model")
def loaded(folder: Path) -> PackedModel:
    return bitladder.load(folder)


@every_precision
def test_vectors_are_the_trained_models_mean_of_tokens_of_length_1(made: Make, bits: Any) -> None:
    folder = made(Precision(1, 1, bits), kind="embeddings")
    trained = checkpoint.load_bert(folder.parent / "trained")
    asked = inputs()
    batch = {name: torch.from_numpy(values) for name, values in asked.items()}
    with torch.no_grad():
        hidden = trained.bert(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
    wanted = (mean / mean.norm(dim=1, keepdim=True)).numpy()
    agree(bitladder.load(folder).logits(**asked), wanted, bits)
    packed = load_torch(folder)
    packed.by_kernels = False
    agree(packed(**batch).logits.numpy(), wanted, bits)


def test_a_file_holds_neither_pooler_nor_head(folder: Path) -> None:
    config = format.read_config(folder)
    assert (config.kind, config.labels) == ("embeddings", [])
    assert not [name for name in load_torch(folder).state_dict() if "pooler" in name or "classifier" in name]


def test_a_text_has_the_vector_it_has_alone_whatever_stands_beside_it(model: PackedModel) -> None:
    every = model.encode(TEXTS)
    assert every.dtype == np.float32
    assert np.allclose(np.linalg.norm(every, axis=1), 1, atol=1e-6)
    for text, vector in zip(TEXTS, every, strict=True):
        if model.engine.engine != TORCH:
            assert np.array_equal(model.encode(text), vector)
        assert np.allclose(model(text)["vector"], vector, atol=1e-5)
    assert model.encode([]).shape == (0, every.shape[1])


def test_what_is_no_encoder_has_no_vectors(made: Make) -> None:
    with pytest.raises(ValueError, match="gives no vectors, its task is classification"):
        bitladder.load(made(Precision(1, 1, 8))).encode("river")


def test_a_form_that_there_is_not_is_named_with_those_there_are(model: PackedModel) -> None:
    with pytest.raises(ValueError, match="'int4' is not known; known: float32, int8, binary"):
        model.encode("river", form="int4")  # type: ignore[arg-type]


@given(st.integers(0, 2**31))
def test_int8_keeps_cosines_and_binary_keeps_signs(seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(6, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    small = formed(vectors, "int8").astype(np.float64)
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    assert np.abs(small @ small.T - vectors @ vectors.T).max() < 0.02
    bits = formed(vectors, "binary")
    assert bits.dtype == np.uint8
    assert bits.shape == (6, 8)
    assert np.array_equal(np.unpackbits(bits, axis=1).astype(bool), vectors > 0)


def test_the_command_prints_a_vector(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from bitladder import predict

    assert predict.main(str(folder), "river") == 0
    assert capfd.readouterr().out.startswith("vector of 64 numbers: ")


def test_its_short_card_on_the_hub_says_how_it_is_asked(folder: Path) -> None:
    made = hub.short_card(folder, "ada/small")
    assert "pipeline_tag: sentence-similarity" in made
    assert "model.encode([" in made


@pytest.mark.slow
def test_sentence_transformers_loads_it_and_gives_the_same_vectors(folder: Path, model: PackedModel) -> None:
    sentence_transformers: Any = pytest.importorskip("sentence_transformers")
    bitladder.register()
    loaded = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    assert np.allclose(loaded.encode(TEXTS), model.encode(TEXTS), atol=1e-5)
    assert loaded.max_seq_length == model.config.max_length


@pytest.mark.slow
def test_vectors_need_no_torch(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; import bitladder; "
        f"print(bitladder.load({str(folder)!r}).encode(['river']).shape)"
    )
    if bitladder.load(folder).engine.engine == TORCH:
        pytest.skip("no kernels on this computer")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 64)"
