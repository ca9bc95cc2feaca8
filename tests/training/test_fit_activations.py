"""Rungs with an activation quantizer, attention or `hidden_act` of their own: trained, noted, packed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_rung import batch

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.modeling.bert import precision_of
from bitladder.packed.writing import pack
from bitladder.transformers_model import model
from pipeline import paths, record
from pipeline.params import Params
from pipeline.training.fit_models import fit_rung


def fitted(params: Params, name: str, **changes: Any) -> record.Record:
    rungs = {**params.weights_activations}
    rungs[name] = rungs[name].model_copy(update=changes)
    fit_rung(params.model_copy(update={"weights_activations": rungs}), name, stage="weights_activations")
    return record.read(paths.model_dir(name))


@torch.no_grad()
def assert_packed_as_trained(name: str, folder: Path) -> None:
    with files.publish(folder) as target:
        pack(paths.model_dir(name), target)
    rows = batch(30)
    expected = checkpoint.load_bert(paths.model_dir(name))(**rows).logits
    assert torch.equal(model.load(folder)(**rows).logits, expected)


def test_bi_attention_by_plain_signs(own_ladder: Params, tmp_path: Path) -> None:
    found = fitted(own_ladder, "w1a1", activation_quantizer="sign", attention="bi")
    assert found.precision.activation_quantizer == "sign"
    assert found.precision.attention == "bi"
    assert record.bits(found) == {"weights": 1, "embeddings": 1, "activations": 1}
    noted = precision_of(checkpoint.load_config(paths.model_dir("w1a1")))
    assert (noted.activation_quantizer, noted.attention) == ("sign", "bi")
    assert_packed_as_trained("w1a1", tmp_path / "packed")


def test_a_moving_average_moves_in_training_and_is_kept(own_ladder: Params, tmp_path: Path) -> None:
    found = fitted(own_ladder, "w1a8", activation_quantizer="min_max_ema")
    assert found.precision.activation_quantizer == "min_max_ema"
    state = checkpoint.load_state(paths.model_dir("w1a8"))
    assert sum(name.endswith(".magnitude") for name in state) > 0
    assert_packed_as_trained("w1a8", tmp_path / "packed")


@pytest.mark.parametrize("name", ["w1a4", "w1a1"])
def test_relu_from_a_parent_with_gelu(own_ladder: Params, tmp_path: Path, name: str) -> None:
    found = fitted(own_ladder, name, hidden_act="relu")
    parent = checkpoint.load_config(paths.model_dir(own_ladder.rungs[name].init_from))
    assert (parent.hidden_act, found.settings["hidden_act"]) == ("gelu", "relu")
    assert checkpoint.load_config(paths.model_dir(name)).hidden_act == "relu"
    assert_packed_as_trained(name, tmp_path / "packed")


def test_two_bits(own_ladder: Params, tmp_path: Path) -> None:
    found = fitted(own_ladder, "w1a4", activation_bits=2)
    assert (found.precision.activations, found.precision.quantizer_of_activations()) == (2, "lsq")
    assert_packed_as_trained("w1a4", tmp_path / "packed")
