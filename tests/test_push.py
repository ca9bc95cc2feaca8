"""`bitladder push` sends the folder and its card, checked first; a stand-in takes the Hub's place."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stand_in_hub
from packed_models import packed_folder, trained_folder
from stand_in_hub import Hub

import bitladder
from bitladder import files, hub

__all__ = ["packed_folder", "trained_folder"]  # fixtures
ROOT = Path(__file__).parents[1]
MADE_UP = "hf_made_up"
Push = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def stand_in() -> Iterator[Hub]:
    with stand_in_hub.running() as running:
        yield running


@pytest.fixture
def push(packed: Path, stand_in: Hub, tmp_path: Path) -> Push:
    """Run the command in a process whose Hub is the stand-in, with a home of its own."""

    def run(*arguments: str, token: str | None = MADE_UP) -> "subprocess.CompletedProcess[str]":
        known = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGG"))}
        own = {"HF_ENDPOINT": stand_in.url, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
        own |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        own |= {"HF_TOKEN": token} if token else {}
        command = [sys.executable, "-m", "bitladder.cli", "push", str(packed), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=known | own, capture_output=True, text=True)

    return run


@pytest.mark.slow
def test_what_is_pushed_is_the_folder_and_its_card_and_loads_again(
    push: Push, stand_in: Hub, packed: Path, tmp_path: Path
) -> None:
    done = push("ada/small", "--private")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{stand_in.url}/ada/small\n"
    assert stand_in.tokens - {None} == {"Bearer hf_made_up"}
    [made] = stand_in.repos
    assert (made["name"], made["organization"]) == ("small", "ada")
    there = {path.name: path.read_bytes() for path in packed.iterdir()}
    assert {name: stand_in.files[name] for name in there} == there
    assert stand_in.files.keys() - there.keys() == {"README.md"}
    card = stand_in.files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: bitladder\npipeline_tag: text-classification\n")
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    for name, content in stand_in.files.items():
        (fetched / name).write_bytes(content)
    assert bitladder.load(fetched)("the dog") == bitladder.load(packed)("the dog")


@pytest.mark.slow
def test_a_refusal_is_one_line_without_the_token(push: Push, stand_in: Hub) -> None:
    for status, said in ((401, "the token is not valid (401)"), (403, "the token may not write there (403)")):
        stand_in.refuses = status
        done = push("ada/small")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"bitladder: {stand_in.url}: {said}\n"


@pytest.mark.slow
def test_without_a_token_nothing_is_sent(push: Push, stand_in: Hub) -> None:
    done = push("ada/small", token=None)
    assert done.returncode == 2
    assert done.stderr == (
        "bitladder: no token for the Hub: set HF_TOKEN or run `hf auth login`; nothing was sent\n"
    )
    assert stand_in.asked == []


@pytest.mark.parametrize("repo", ["small", "ada/", "/small", "a/b/c", "ada/sm all", "../x", "ada/../x"])
def test_a_wrong_name_is_refused_before_anything_is_read(packed: Path, repo: str) -> None:
    with pytest.raises(hub.UsageError, match="OWNER/NAME is right"):
        hub.main(packed, repo, None, False)


def test_a_changed_folder_is_not_pushed(packed: Path) -> None:
    (packed / "vocab.txt").write_text("changed")
    with pytest.raises(files.IntegrityError, match=r"vocab\.txt"):
        hub.main(packed, "ada/small", None, False)


def test_the_report_s_card_is_taken_where_it_is_of_these_weights(packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project" / "packed" / "w1a8"
    folder.parent.mkdir(parents=True)
    packed.rename(folder)
    digest = files.sha256(folder / files.WEIGHTS)
    card = tmp_path / "project" / "reports" / "cards" / "w1a8.md"
    files.write_text(card, f"# Mine\nsha256 {digest}\n")
    assert hub._card(folder, "ada/small", None, digest) == card.read_text()
    files.write_text(card, "# Of another training\n")
    with pytest.raises(hub.UsageError, match="the card of other weights"):
        hub._card(folder, "ada/small", None, digest)
    given = tmp_path / "given.md"
    given.write_text("# Given\n")
    assert hub._card(folder, "ada/small", given, digest) == "# Given\n"
