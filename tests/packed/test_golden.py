"""Folders that earlier versions wrote are read for ever: nobody makes these again.

golden/NAME is a packed folder, golden/NAME.json what its model said to tiny_rung.batch(42).
"""

import json
from pathlib import Path

import pytest
import torch
from tiny_rung import batch

from bitladder import runtime
from bitladder.packed.tensors import Entry, read_contents
from bitladder.transformers_model.model import load

GOLDEN = Path(__file__).parent / "golden"
WEIGHTS = "model.safetensors"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))
TABLE = "bert.embeddings.word_embeddings.codes"


@pytest.mark.parametrize("name", NAMES)
def test_an_old_folder_says_what_it_said(name: str) -> None:
    with torch.no_grad():
        logits = load(GOLDEN / name)(**batch(42)).logits
    expected = torch.tensor(json.loads((GOLDEN / f"{name}.json").read_text()))
    assert torch.allclose(logits, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_saved_again_it_is_what_it_was(name: str, tmp_path: Path) -> None:
    """A file of an older format does not become one of a newer."""
    load(GOLDEN / name).save_pretrained(tmp_path / "saved")
    for part in (WEIGHTS, "config.json"):
        assert (tmp_path / "saved" / part).read_bytes() == (GOLDEN / name / part).read_bytes()


def test_ternary_codes_are_read_in_both_ways_of_writing_them() -> None:
    fours, fives = "format1_w2a8", "format1_w2a8_five_trits"
    assert {fours, fives} <= set(NAMES)
    shapes = [read_contents(GOLDEN / name / WEIGHTS).entries[TABLE].shape for name in (fours, fives)]
    assert shapes == [(42, 16), (42, 13)]
    first, second = ((GOLDEN / f"{name}.json").read_text() for name in (fours, fives))
    assert first == second, "the same rung"


def test_scales_of_8_bits_are_read_from_their_codes() -> None:
    entries = read_contents(GOLDEN / "format2_w1a8_scales8" / WEIGHTS).entries
    assert entries[TABLE.replace("codes", "scale")] == Entry("U8", (42,))


def test_the_kernels_get_the_same_weights_from_both() -> None:
    ids = {name: tensor.numpy() for name, tensor in batch(42).items()}
    try:
        fours, fives = (runtime.load(GOLDEN / f"format1_w2a8{how}") for how in ("", "_five_trits"))
    except runtime.UnsupportedError as error:
        pytest.skip(str(error))
    assert (fours.logits(**ids) == fives.logits(**ids)).all()
