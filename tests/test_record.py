"""A record is written and read back as it was, and the same record is the same bytes."""

from dataclasses import replace
from pathlib import Path

import pytest

from bitladder import files
from pipeline import record
from pipeline.parts import every_part
from pipeline.record import Part, Record

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
    with pytest.raises(TypeError, match="finished"):
        record.read(tmp_path)
