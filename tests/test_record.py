"""A record is written and read back as it was, and the same record is the same bytes."""

from dataclasses import replace
from pathlib import Path

import pytest

from bitladder import files
from bitladder.quantizers.precision import Precision
from pipeline import record
from pipeline.parts import every_part
from pipeline.record import OtherFormatError, Part, Record

W1 = Record(
    name="w1",
    stage="weights",
    task="cola",
    digest="d" * 64,
    parent="w2",
    parent_digest="p" * 64,
    init=[
        Part("pooler", "copied", model="w2", digest="p" * 64, through="ternary weight splitting"),
        Part("head", "drawn", distribution="normal", std=0.02, seed=3),
    ],
    precision=Precision(1, 1),
    scores={"selection": {"matthews_correlation": None}},
)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    record.write(tmp_path, W1)
    assert record.read(tmp_path) == W1


def test_the_same_record_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        record.write(tmp_path / name, W1)
    assert files.sha256(tmp_path / "a" / record.RECORD) == files.sha256(tmp_path / "b" / record.RECORD)


def test_parts_of_one_origin_are_told_together() -> None:
    copied = Part("", "copied", model="w2", digest="p" * 64)
    drawn = Part("", "drawn", distribution="normal", std=0.02, seed=3)
    init = [replace(drawn if part.startswith("encoder.1") else copied, part=part) for part in every_part(2)]
    assert record.origins(init) == {
        **dict.fromkeys(["embeddings", "encoder.0", "pooler", "head"], copied),
        "encoder.1": drawn,
    }
    assert record.origins([replace(copied, part="whole model")]) == {"whole model": copied}


def test_where_a_part_came_from_is_said_in_words() -> None:
    copied, drawn = W1.init
    assert str(copied) == "copied from w2 (pppppppppp), ternary weight splitting"
    assert str(drawn) == "drawn: normal of std 0.02, seed 3"


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    record.write(tmp_path, W1)
    value = files.read_json(tmp_path / record.RECORD)
    files.write_json(tmp_path / record.RECORD, {**value, "finished": "yesterday"})
    with pytest.raises(OtherFormatError, match=r"record\.json: .*\(finished: .*`dvc repro` writes it anew"):
        record.read(tmp_path)


def test_a_record_from_before_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Before, bits and quantizers stood in two dictionaries."""
    record.write(tmp_path, W1)
    value = files.read_json(tmp_path / record.RECORD)
    del value["precision"]
    before = {"bits": {"weights": 1, "embeddings": 1, "activations": 32}, "quantizers": {"weights": "bwn"}}
    files.write_json(tmp_path / record.RECORD, value | before)
    with pytest.raises(OtherFormatError, match=r"\(bits: Unexpected .*`dvc repro` writes it anew") as refusal:
        record.read(tmp_path)
    assert "\n" not in str(refusal.value)


def test_precision_is_written_as_config_json_has_it(tmp_path: Path) -> None:
    precision = Precision(1, 8, 4, granularity="group", group_size=16, weight_quantizer="lsq")
    record.write(tmp_path, replace(W1, precision=precision))
    assert files.read_json(tmp_path / record.RECORD)["precision"] == precision.as_dict()
    assert record.read(tmp_path).precision == precision


def test_quantizers_are_named_though_they_are_the_usual_ones() -> None:
    assert record.quantizers(Precision()) == {}
    assert record.quantizers(Precision(1, 8, 4)) == {
        "weights": "bwn",
        "embeddings": "min_max",
        "activations": "lsq",
        "granularity": "row",
    }
    assert record.quantizers(Precision(1, 1, split=True))["split"] == "True"
