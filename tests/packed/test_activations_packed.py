"""Every activation quantizer, Bi-Attention and ReLU: packed bit for bit, named where unusual, sized."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up import params
from tiny_rung import SIZES, batch

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.packed import format, size
from bitladder.packed.tensors import FormatError, read_contents
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision
from bitladder.transformers_model import model
from pipeline.ladder.sizes import Shape, packed_bytes

Rung = Callable[..., Path]
NAMED = [
    Precision(1, 1, 2),
    Precision(1, 1, 8, activation_quantizer="min_max_ema"),
    Precision(2, 2, 8, activation_quantizer="lsq"),
    Precision(1, 1, 1, activation_quantizer="sign", attention="bi"),
    Precision(1, 1, 1, attention="bi"),
    Precision(1, 1, 1, feed_forward_activations=8),
]
USUAL = [Precision(1, 1, 32), Precision(1, 1, 8), Precision(1, 1, 4), Precision(1, 1, 1)]


def packed(trained: Rung, folder: Path, precision: Precision, **options: Any) -> tuple[Path, Path]:
    source = trained(precision, **options)
    with files.publish(folder / "packed") as target:
        pack(source, target)
    return source, folder / "packed"


@torch.no_grad()
def logits(loaded: Any) -> torch.Tensor:
    found: torch.Tensor = loaded(**batch()).logits
    return found


@pytest.mark.parametrize("precision", NAMED, ids=str)
def test_logits_are_the_trained_rungs_bit_for_bit(
    trained: Rung, tmp_path: Path, precision: Precision
) -> None:
    source, target = packed(trained, tmp_path, precision)
    assert torch.equal(logits(model.load(target)), logits(checkpoint.load_bert(source)))


@pytest.mark.parametrize("precision", [*USUAL, NAMED[0], NAMED[1], NAMED[4]], ids=str)
def test_relu_too(trained: Rung, tmp_path: Path, precision: Precision) -> None:
    source, target = packed(trained, tmp_path, precision, hidden_act="relu")
    assert torch.equal(logits(model.load(target)), logits(checkpoint.load_bert(source)))
    assert not [n for n in _names(target) if n.endswith(".output.dense.activation.offset")]


@pytest.mark.parametrize("precision", USUAL, ids=str)
def test_what_is_usual_adds_no_key(trained: Rung, tmp_path: Path, precision: Precision) -> None:
    """So that folders packed before there was a choice, and after, are the same."""
    _, target = packed(trained, tmp_path, precision)
    noted = json.loads((target / "config.json").read_text())["bitladder_precision"]
    assert sorted(noted) == ["activations", "embeddings", "granularity", "weights"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"activation_quantizer": "lsqq"}, "no activation quantizer 'lsqq' serves activations 1"),
        ({"activation_quantizer": "per_token"}, "no activation quantizer 'per_token' serves activations 1"),
        ({"activations": 8}, "no activation quantizer 'sign' serves activations 8"),
        (
            {"activations": 4, "activation_quantizer": None},
            "bi attends by signs, and activations have 4 bits",
        ),
        ({"attention": "linear"}, "attention"),
        ({"activations": 3}, "activations"),
    ],
)
def test_a_config_that_fits_no_quantizer_is_refused(
    trained: Rung, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    _, target = packed(trained, tmp_path, NAMED[3])
    values = json.loads((target / "config.json").read_text())
    values["bitladder_precision"] |= changes
    with pytest.raises(FormatError, match=problem):
        format.parse_config(values, source="config.json")


def test_the_moving_average_is_kept_in_half_precision_and_counted(trained: Rung, tmp_path: Path) -> None:
    _, target = packed(trained, tmp_path, NAMED[1])
    entries = read_contents(target / "model.safetensors").entries
    found = [entry for name, entry in entries.items() if name.endswith(".magnitude")]
    assert len(found) == 2 * 6 + 1 + 2 * 4
    assert {(entry.dtype, entry.shape) for entry in found} == {("F16", ())}
    [part] = [part for part in size.account(target).parts if part.part == "activation steps"]
    assert (part.stored_bytes, part.parameters) == (2 * len(found), 0)


@pytest.mark.parametrize(
    ("precision", "hidden_act"),
    [(USUAL[3], "gelu"), (USUAL[3], "relu"), (NAMED[4], "gelu"), (NAMED[4], "relu"), (NAMED[3], "gelu")],
)
def test_estimated_steps_and_shifts_are_those_written(
    trained: Rung, tmp_path: Path, precision: Precision, hidden_act: str
) -> None:
    _, target = packed(trained, tmp_path, precision, hidden_act=hidden_act)
    written = read_contents(target / "model.safetensors").entries
    learned = (".shift", ".log_step")
    kept = sum(entry.num_bytes for name, entry in written.items() if name.endswith(learned))
    own = (
        params(tmp_path)
        .rungs["w1a1"]
        .model_copy(
            update={
                "activation_quantizer": precision.activation_quantizer or "elastic",
                "attention": precision.attention,
                "hidden_act": hidden_act,
            }
        )
    )
    unshifted = own.model_copy(update={"activation_quantizer": "sign", "attention": "bi"})
    shape = Shape(**SIZES)
    bare = packed_bytes(shape, unshifted, num_labels=2)
    assert packed_bytes(shape, own, num_labels=2) - bare == kept


def _names(folder: Path) -> list[str]:
    return list(read_contents(folder / "model.safetensors").entries)
