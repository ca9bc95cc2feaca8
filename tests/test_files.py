"""Folders appear whole or not at all, and tell whether they still are what was written."""

import json
import subprocess
from pathlib import Path

import pytest

from bitladder import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with files.publish(tmp_path / "model") as filling:
        files.write_text(filling / "a.txt", "one")
        files.write_json(filling / "inner" / "b.json", {"two": 2})
    return tmp_path / "model"


def test_what_was_published_is_verified(folder: Path) -> None:
    assert files.verify(folder) == {
        "a.txt": files.sha256(folder / "a.txt"),
        "inner/b.json": files.sha256(folder / "inner" / "b.json"),
    }


def fill_half_way(target: Path) -> None:
    with files.publish(target) as filling:
        files.write_text(filling / "a.txt", "other")
        raise RuntimeError("half way")


def test_nothing_appears_when_filling_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        fill_half_way(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_second_time_leaves_the_first(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        fill_half_way(folder)
    assert (folder / "a.txt").read_text() == "one"
    files.verify(folder)


def test_publishing_again_replaces_everything(folder: Path) -> None:
    with files.publish(folder) as filling:
        files.write_text(filling / "c.txt", "three")
    assert list(files.verify(folder)) == ["c.txt"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_changed_byte_is_found(folder: Path) -> None:
    (folder / "a.txt").write_text("onE")
    with pytest.raises(files.IntegrityError, match=r"a\.txt: sha256"):
        files.verify(folder)


def test_a_missing_and_an_extra_file_are_named(folder: Path) -> None:
    (folder / "a.txt").rename(folder / "config.json")
    with pytest.raises(files.IntegrityError, match=r"missing a\.txt; unexpected config\.json"):
        files.verify(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": []}', '{"files": {"a.txt": {}}}', "\x00"])
def test_a_damaged_manifest_is_damage_and_nothing_else(folder: Path, text: str) -> None:
    (folder / files.MANIFEST).write_text(text)
    with pytest.raises(files.IntegrityError, match=r"manifest\.json: damaged"):
        files.verify(folder)


def test_a_folder_without_a_manifest_was_not_finished(folder: Path) -> None:
    (folder / files.MANIFEST).unlink()
    with pytest.raises(files.IntegrityError, match=r"no manifest\.json"):
        files.verify(folder)


def test_json_has_no_nan_and_its_keys_are_sorted(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"b": 1, "a": "ü"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "y.json", {"score": float("nan")})
    assert not (tmp_path / "y.json").exists()


def test_the_same_files_give_the_same_manifest(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        with files.publish(tmp_path / name) as filling:
            files.write_text(filling / "a.txt", "same")
        texts.append((tmp_path / name / files.MANIFEST).read_text())
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["files"]["a.txt"]["bytes"] == 4


def test_one_changed_letter_of_code_changes_the_digest_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "part" / "inner").mkdir(parents=True)
    (tmp_path / "part" / "one.py").write_text("x = 1\n")
    (tmp_path / "part" / "inner" / "two.py").write_text("y = 1\n")
    (tmp_path / "part" / "notes.txt").write_text("no code")
    before = files.code(("part",), tmp_path)
    (tmp_path / "part" / "inner" / "two.py").write_text("y = 2\n")
    after = files.code(("part",), tmp_path)
    assert list(before) == ["part/inner/two.py", "part/one.py"]
    assert [name for name in before if before[name] != after[name]] == ["part/inner/two.py"]


def test_the_order_of_keys_is_no_part_of_a_digest() -> None:
    same, other = files.digest({"b": [2], "a": None}), files.digest({"a": [2], "b": None})
    assert files.digest({"a": None, "b": [2]}) == same != other


# Public reports: huggingface_hub#25 and #1388 for the first five.
UNREAD = (
    "README.md",
    ".gitattributes",
    ".cache/huggingface/download/model.safetensors.metadata",
    ".git/config.json",
    ".DS_Store",
    "LICENSE",
    "logo.png",
    "Thumbs.db",
    "notes/model.safetensors",
    "__pycache__/x.pyc",
)


@pytest.mark.parametrize("name", UNREAD)
def test_what_no_loader_reads_may_lie_beside_what_is_promised(folder: Path, name: str) -> None:
    promised = files.verify(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("anything")
    assert files.verify(folder) == promised


READ = ("adapter_config.json", "other.safetensors", "pytorch_model.bin", "record.json", "test.parquet")


@pytest.mark.parametrize("name", READ)
def test_what_a_loader_would_read_is_promised_or_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("anything")
    with pytest.raises(files.IntegrityError, match=rf"unexpected {name}"):
        files.verify(folder)


@pytest.mark.parametrize("name", ["added_tokens.json", "vocab.txt", "tokenizer.json", "spiece.model"])
def test_a_tokenizer_is_promised_as_a_whole_or_not_at_all(tmp_path: Path, name: str) -> None:
    for own in ("tokenizer_config.json", "a.txt"):
        with files.publish(tmp_path / own) as filling:
            files.write_text(filling / own, "one")
        (tmp_path / own / name).write_text("anything")
    files.verify(tmp_path / "a.txt")
    with pytest.raises(files.IntegrityError, match=rf"unexpected {name}"):
        files.verify(tmp_path / "tokenizer_config.json")


def test_what_a_killed_writer_left_goes_with_the_next_and_what_one_at_work_has_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    for kind in ("tmp", "old"):
        for pid in (dead.pid, 1):
            (tmp_path / f".made.{pid}.{kind}").mkdir()
    (tmp_path / f".text.{dead.pid}.tmp").write_text("half")
    (tmp_path / ".made.mine.old").mkdir()
    with files.publish(tmp_path / "made") as folder:
        files.write_text(folder / "a.txt", "one")
    files.write_text(tmp_path / "text", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".made.1.old",
        ".made.1.tmp",
        ".made.mine.old",
        "made",
        "text",
    ]
