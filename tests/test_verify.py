"""`bitladder verify` finds every flipped bit, names the file and says what to do."""

import json
from pathlib import Path

import pytest
from packed_models import packed_folder, trained_folder

from bitladder import files, verify

__all__ = ["packed_folder", "trained_folder"]  # fixtures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with files.publish(tmp_path / "made") as made:
        (made / "weights.bin").write_bytes(bytes(range(256)))
        (made / "config.json").write_text("{}")
    return tmp_path / "made"


def test_packed_and_trained_folders_are_as_they_were_written(
    packed: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert verify.main(packed, False) == 0
    assert verify.main(tmp_path / "trained", False) == 0
    assert "all as they were written" in capsys.readouterr().out


@pytest.mark.parametrize("place", [0, 100, 255])
def test_a_flipped_bit_is_found_and_its_file_named(
    folder: Path, place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((folder / "weights.bin").read_bytes())
    content[place] ^= 1
    (folder / "weights.bin").write_bytes(content)
    assert verify.main(folder, False) == 1
    said = capsys.readouterr()
    assert said.out.startswith("weights.bin: sha256 ")
    assert "Copy the whole folder again" in said.err


def test_all_that_differs_is_told_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "weights.bin").write_bytes(b"short")
    (folder / "config.json").unlink()
    (folder / "pytorch_model.bin").write_text("")
    assert verify.main(folder, True) == 1
    assert json.loads(capsys.readouterr().out)["differences"] == {
        "weights.bin": "5 bytes; the manifest says 256",
        "config.json": "missing",
        "pytorch_model.bin": "unexpected: a loader would read it, unchecked; remove it",
    }


@pytest.mark.parametrize("content", ["", "[]", '{"files": {"a": 1}}', "\xff"])
def test_a_damaged_manifest_is_told(folder: Path, content: str) -> None:
    (folder / files.MANIFEST).write_text(content, encoding="latin-1")
    assert list(verify.differences(folder)) == [files.MANIFEST]


def test_a_folder_without_manifest_is_told(tmp_path: Path) -> None:
    assert list(verify.differences(tmp_path)) == [files.MANIFEST]


def test_what_the_hub_keeps_beside_a_model_is_no_difference(packed: Path) -> None:
    (packed / "README.md").write_text("# A card")
    (packed / ".gitattributes").write_text("")
    assert verify.differences(packed) == {}
    files.verify(packed)


def test_a_card_that_the_manifest_lists_is_checked(tmp_path: Path) -> None:
    with files.publish(tmp_path / "made") as made:
        (made / "README.md").write_text("listed")
    (tmp_path / "made" / "README.md").write_text("changed")
    assert list(verify.differences(tmp_path / "made")) == ["README.md"]
    with pytest.raises(files.IntegrityError):
        files.verify(tmp_path / "made")
