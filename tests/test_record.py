"""A record is written and read back as it was, and the same record is the same bytes."""

from pathlib import Path

import pytest

from pipeline import files, record
from pipeline.record import Part, Record

W1 = Record(
    name="w1",
    stage="weights",
    task="cola",
    digest="d" * 64,
    parent="w2",
    parent_digest="p" * 64,
    init=[Part("embeddings", "copied", digest="p" * 64), Part("encoder", "drawn", distribution="x", seed=3)],
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


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    record.write(tmp_path, W1)
    value = files.read_json(tmp_path / record.RECORD)
    files.write_json(tmp_path / record.RECORD, {**value, "finished": "yesterday"})
    with pytest.raises(TypeError, match="finished"):
        record.read(tmp_path)
