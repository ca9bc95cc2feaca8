"""Nothing of a person's is overwritten: neither what lies where the model goes nor where the project goes."""

from pathlib import Path

import pytest

from bitladder import files
from flows.compress import project
from flows.compress.project import FolderError


def packed(folder: Path, text: str = "weights") -> Path:
    with files.publish(folder) as made:
        (made / "model.safetensors").write_text(text)
        (made / "config.json").write_text("{}")
    return folder


def test_a_model_is_delivered_with_its_own_manifest(tmp_path: Path) -> None:
    one = packed(tmp_path / "packed")
    project.deliver(one, tmp_path / "out")
    assert files.verify(tmp_path / "out") == files.verify(one)
    assert files.sha256(tmp_path / "out" / files.MANIFEST) == files.sha256(one / files.MANIFEST)


def test_a_delivered_model_is_replaced_by_another_and_left_by_the_same(tmp_path: Path) -> None:
    out = tmp_path / "out"
    project.deliver(packed(tmp_path / "one"), out)
    before = (out / "config.json").stat().st_ino
    project.require_output(out)
    project.deliver(tmp_path / "one", out)
    assert (out / "config.json").stat().st_ino == before
    project.deliver(packed(tmp_path / "two", "others"), out)
    assert (out / "model.safetensors").read_text() == "others"


def test_what_is_damaged_is_not_delivered(tmp_path: Path) -> None:
    one = packed(tmp_path / "packed")
    (one / "config.json").write_text("[]")
    with pytest.raises(files.IntegrityError):
        project.deliver(one, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("One")
    with pytest.raises(FolderError, match=r"-o: .*thesis holds something else than a packed model"):
        project.require_output(tmp_path / "thesis")
    with pytest.raises(FolderError, match=r"--project: .*thesis holds something else"):
        project.settle(tmp_path / "thesis")
    notes = packed(tmp_path / "out") / "notes.txt"
    notes.write_text("Mine")
    with pytest.raises(FolderError):
        project.require_output(tmp_path / "out")


def test_a_clone_is_no_place_for_it(tmp_path: Path) -> None:
    (tmp_path / ".bitladder").mkdir()
    (tmp_path / "flows").mkdir()
    with pytest.raises(FolderError, match="is a clone; name another folder"):
        project.settle(tmp_path)


def test_a_project_is_settled_twice_alike(tmp_path: Path) -> None:
    for _ in range(2):
        project.settle(tmp_path / "own folder")
    assert (tmp_path / "own folder" / "flows" / "commands.py").is_file()
    assert (tmp_path / "own folder" / ".gitignore").read_text() == "*\n"


def test_neither_lies_in_the_other_and_both_can_be_made(tmp_path: Path) -> None:
    out = tmp_path / "out"
    project.require_apart(out, tmp_path / "out.project")
    for one, other in ((out, out), (out, out / "project"), (out / "small", out)):
        with pytest.raises(FolderError, match="lie in each other; name two folders apart"):
            project.require_apart(one, other)
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match=r"-o: .*file/out cannot be made in .*file, where nothing may be"):
        project.require_apart(tmp_path / "file" / "out", out)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FolderError, match="is a link to what is not there"):
        project.require_apart(tmp_path / "link", out)


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    project.deliver(packed(tmp_path / "packed"), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert files.verify(tmp_path / "there")
