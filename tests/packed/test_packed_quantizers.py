"""Whatever quantizer found them, packed codes and scales are the trained rung's, at every granularity."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_rung import batch
from torch import Tensor

from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.packed import format, size
from bitladder.packed.tensors import FormatError, read_contents
from bitladder.packed.writing import pack
from bitladder.quantizers.names import WEIGHTS
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.rounding import half_precision
from bitladder.quantizers.weight import ScaleLayout
from bitladder.transformers_model import model
from pipeline.training.optimizer import adamw, show_second_moments

Rung = Callable[..., Path]
EVERY = [(name, bits) for name, named in WEIGHTS.items() for bits in named.bits]
SHARINGS: list[tuple[str, int | None]] = [("row", None), ("matrix", None), ("group", 9)]
QUERY = "bert.encoder.layer.0.attention.self.query"
# Rows of 36 and 45 numbers, of which no width fills whole bytes: a byte holds codes of two groups.
ODD = {"hidden_size": 36, "intermediate_size": 45}


@torch.no_grad()
def logits(loaded: Any) -> Tensor:
    found: Tensor = loaded(**batch()).logits
    return found


def stepped(folder: Path) -> None:
    """Take two steps with a rung, so that moments are there and steps have moved, and save it again."""
    trained = checkpoint.load_bert(folder)
    optimizer = adamw(trained, learning_rate=1e-2, weight_decay=0.0)
    for _ in range(2):
        optimizer.zero_grad()
        trained(**batch(), labels=torch.tensor([0, 1, 0, 1, 1])).loss.backward()
        optimizer.step()
        show_second_moments(trained, optimizer)
    checkpoint.round_side_parameters(trained)
    state = {name: tensor.contiguous() for name, tensor in trained.state_dict().items()}
    save_file(state, folder / checkpoint.WEIGHTS, metadata={"format": "pt"})


def packed(source: Path, folder: Path) -> Path:
    with files.publish(folder) as target:
        pack(source, target)
    return folder


# Same operations on the same numbers in the same order: there is nothing to be tolerant about.
@pytest.mark.parametrize(("name", "bits"), EVERY)
@pytest.mark.parametrize(("granularity", "group_size"), SHARINGS)
def test_logits_are_the_trained_rungs_bit_for_bit(
    trained: Rung,
    tmp_path: Path,
    name: str,
    bits: int,
    granularity: Any,
    group_size: int | None,
) -> None:
    # Each kind of activations with some quantizers and each granularity: all together would take minutes.
    turn = EVERY.index((name, bits)) + SHARINGS.index((granularity, group_size))
    activations = (32, 8, 4, 1)[turn % 4]
    source = trained(Precision(bits, bits, activations, granularity, False, group_size, name), **ODD)
    stepped(source)
    found = logits(model.load(packed(source, tmp_path / "packed")))
    assert found.isfinite().all()
    assert torch.equal(found, logits(checkpoint.load_bert(source)))


@pytest.mark.parametrize(("name", "bits"), EVERY)
def test_so_they_are_with_scales_of_8_bits(trained: Rung, tmp_path: Path, name: str, bits: int) -> None:
    activations = (32, 8, 4, 1)[EVERY.index((name, bits)) % 4]
    precision = Precision(bits, bits, activations, weight_quantizer=name, scale_bits=8)
    source = trained(precision, **ODD)
    stepped(source)
    found = logits(model.load(packed(source, tmp_path / "packed")))
    assert found.isfinite().all()
    assert torch.equal(found, logits(checkpoint.load_bert(source)))


def test_a_scale_that_8_bits_cannot_say_is_not_packed(
    trained: Rung, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = trained(Precision(1, 1, 8, scale_bits=8))
    monkeypatch.setattr(ScaleLayout, "rounded", lambda _, scales: half_precision(scales))
    with pytest.raises(ValueError, match=r"\.scale: .* is none of the 256 scales"):
        packed(source, tmp_path / "packed")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bitladder_format": 1}, "scale_bits 8 needs bitladder_format 2"),
        ({"bitladder_precision": Precision(1, 1, 8).as_dict() | {"scale_bits": 4}}, "scale_bits"),
        (
            {"bitladder_precision": Precision(1, 1, 8, "matrix").as_dict() | {"scale_bits": 8}},
            "scale_bits 8 is for granularity row, and it is matrix",
        ),
    ],
)
def test_scales_that_cannot_be_are_refused(
    trained: Rung, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    folder = packed(trained(Precision(1, 1, 8, scale_bits=8)), tmp_path / "packed")
    values = files.read_json(folder / "config.json") | changes
    with pytest.raises(FormatError, match=said):
        format.parse_config(values, source="here")


def test_the_packed_weights_are_codes_times_scales_of_their_groups(trained: Rung, tmp_path: Path) -> None:
    source = trained(Precision(2, 2, 32, "group", group_size=9, weight_quantizer="lat"), **ODD)
    stepped(source)
    layer = model.load(packed(source, tmp_path / "packed")).get_submodule(QUERY)
    own = checkpoint.load_bert(source).get_submodule(QUERY)
    assert layer.scale.shape == (36, 4)
    assert torch.equal(layer.weight().values_OI, own.quantizer.quantize(own.weight).values_OI)


def test_nothing_that_a_quantizer_keeps_is_packed(trained: Rung, tmp_path: Path) -> None:
    names = {}
    for name in ("lat", "lsq", "twn"):
        source = trained(Precision(2, 2, 8, weight_quantizer=name))
        folder = packed(source, tmp_path / name)
        names[name] = set(read_contents(folder / "model.safetensors").entries)
        assert "weight_quantizer" not in files.read_json(folder / "config.json")["bitladder_precision"]
    assert names["lat"] == names["lsq"] == names["twn"]


def test_a_key_of_groups_is_there_only_where_they_are(trained: Rung, tmp_path: Path) -> None:
    """Folders of before have no group_size and read as ever."""
    one = files.read_json(packed(trained(Precision(1, 1, 8)), tmp_path / "one") / "config.json")
    assert set(one["bitladder_precision"]) == {"weights", "embeddings", "activations", "granularity"}
    source = trained(Precision(1, 1, 8, "group", group_size=9), **ODD)
    grouped = files.read_json(packed(source, tmp_path / "two") / "config.json")
    assert grouped["bitladder_precision"]["group_size"] == 9


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ({"group_size": 5}, "group_size 5 does not divide 36 inputs"),
        ({"group_size": 4}, "group_size 4 does not divide 45 inputs"),
        ({"group_size": None}, "group_size is there where granularity is group"),
        ({"granularity": "row"}, "group_size is there where granularity is group"),
        ({"group_size": 0}, "group_size"),
    ],
)
def test_groups_that_cannot_be_are_refused(
    trained: Rung, tmp_path: Path, precision: dict[str, Any], said: str
) -> None:
    folder = packed(trained(Precision(1, 1, 8, "group", group_size=9), **ODD), tmp_path / "packed")
    values = files.read_json(folder / "config.json")
    values["bitladder_precision"] |= precision
    with pytest.raises(FormatError, match=said):
        format.parse_config(values, source="here")


def test_a_scale_of_another_number_of_groups_is_refused(trained: Rung, tmp_path: Path) -> None:
    folder = packed(trained(Precision(1, 1, 8, "group", group_size=9), **ODD), tmp_path / "packed")
    content = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != files.MANIFEST}
    values = files.read_json(folder / "config.json")
    values["bitladder_precision"]["group_size"] = 3
    with files.publish(folder) as target:
        for name, written in content.items():
            (target / name).write_bytes(written)
        files.write_json(target / "config.json", values)
    with pytest.raises(FormatError, match=rf"{QUERY}.scale F16\[36, 4\] instead of F16\[36, 12\]"):
        model.load(folder)


def test_scales_of_groups_are_counted(trained: Rung, tmp_path: Path) -> None:
    source = trained(Precision(1, 1, 8, "group", group_size=9), **ODD)
    parts = {part.part: part for part in size.account(packed(source, tmp_path / "packed")).parts}
    tables = 99 + 17 + 2
    scales = tables * 4 + 2 * (4 * 36 * 4 + 45 * 4 + 36 * 5) + 36 * 4
    assert parts["scales"].stored_bytes == 2 * scales


def test_a_step_that_was_never_set_is_not_packed(trained: Rung, tmp_path: Path) -> None:
    source = trained(Precision(4, 4, 8, weight_quantizer="lsq"))
    state = load_file(source / checkpoint.WEIGHTS)
    state[f"{QUERY}.quantizer.log_step"].fill_(float("nan"))
    save_file(state, source / checkpoint.WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"{QUERY}.quantizer.log_step: .*the step was never set"):
        pack(source, tmp_path)
