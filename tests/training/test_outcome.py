"""What training leaves behind: a curve anybody can read, and a folder that appears whole or not at all."""

from pathlib import Path

import pytest
from tiny_model import classifier
from tiny_rung import write_tokenizer

from bitladder import files
from pipeline import record
from pipeline.record import Record
from pipeline.training.outcome import curve_csv, publish
from pipeline.training.state import Point

CURVE = [Point(10, 0.123456789, None), Point(20, 1e-9, 0.5), Point(30, 2.0, None)]
DRAFT = Record("w1", "weights", "cola", digest="")


@pytest.fixture
def tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    write_tokenizer(folder)
    return folder


def test_a_curve_has_a_row_per_point_and_an_empty_score_where_none_was_measured() -> None:
    assert curve_csv(CURVE) == "step,loss,score\n10,0.123457,\n20,1e-09,0.5\n30,2,\n"


def test_a_curve_without_points_is_its_header() -> None:
    assert curve_csv([]) == "step,loss,score\n"


def test_the_folder_is_published_with_its_own_digest_in_the_record(tokenizer: Path) -> None:
    model = classifier()
    finished = publish(model, model.config, DRAFT, CURVE, tokenizer_from=tokenizer)
    folder = Path("models/w1")
    assert files.verify(folder)["model.safetensors"] == finished.digest
    assert record.read(folder) == finished
    assert (folder / "curve.csv").read_text() == curve_csv(CURVE)


def test_what_cannot_be_written_leaves_the_folder_that_was_there(tokenizer: Path) -> None:
    model = classifier()
    before = publish(model, model.config, DRAFT, CURVE, tokenizer_from=tokenizer)
    with pytest.raises(AttributeError):
        publish(object(), model.config, DRAFT, CURVE, tokenizer_from=tokenizer)
    assert files.verify(Path("models/w1"))["model.safetensors"] == before.digest
    assert [path.name for path in Path("models").iterdir()] == ["w1"]
