"""README and docs/ say what is so: links lead somewhere, code runs, figures that stand twice agree."""

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise, takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PATH = re.compile(r"(?<![./\w-])(?:bitladder|pipeline|flows|conf|docs|tests|benchmarks)/[\w/.-]*\w")
NODE = re.compile(r'(\w+)\["<b>\1</b>.*?<br>([\d.]+) %, ([\d.]+) MiB"\]')
ROW = re.compile(r"^(\w+) +\d+ +\d+ +\d+  (\w+) +([\d.]+) +\S+  ([\d.]+) ", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "log.md"], ids=lambda page: page.name
)
def test_files_named_are_there(page: Path) -> None:
    """But what docs/quantizers.md adds as an example, and a search finds. The log tells of what once was."""
    made = {"bitladder/quantizers/bwn_median.py", "conf/ladder/found.yaml"}
    named = {*PATH.findall(page.read_text(encoding="utf-8"))} - made
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_picture_is_that_of_the_demo_s_table() -> None:
    """Each box has its row's accuracy and size, and stands behind the model that the row starts from.

    A rung that begins as one of the same bits, `…_start`, starts from where that does: the teacher.
    """
    picture = README.partition("```mermaid\n")[2].partition("```")[0]
    rows = {
        name: (re.sub(r".*_start$", "teacher", parent), f"{100 * float(score):.1f}", mib)
        for name, parent, score, mib in ROW.findall(README)
    }
    boxes = {name: figures for name, *figures in NODE.findall(picture)}
    assert len(boxes) == 9
    for name, figures in boxes.items():
        assert figures == [*rows[name][1:]]
    chains = re.sub(r'\["[^"]*"\]', "", picture).replace('-- "in one jump" -->', "-->")
    chains = chains.replace("--> weights -->", "--> w8 \nw1 -->").replace("--> activations", "--> w1a8")
    arrows = {arrow for chain in chains.splitlines() for arrow in pairwise(chain.strip().split(" --> "))}
    assert arrows == {(rows[name][0], name) for name in boxes if name != "teacher"}


@pytest.mark.parametrize("package", ["bitladder", "pipeline"])
def test_every_folder_of_code_has_its_line(package: str) -> None:
    tree = README.partition("## Where things are")[2].partition("##")[0]
    of_package = tree.partition(f"\n{package}/ ")[2]
    listed = re.findall(r"(\w+)/", "\n".join(_indented(of_package.splitlines()[1:])))
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert {*listed} - {"kernels"} == folders


def _indented(lines: list[str]) -> Iterator[str]:
    """The folders at the beginning of each line, up to the first line that is not indented."""
    for line in takewhile(lambda line: line.startswith("  "), lines):
        yield re.split(r" {3,}|  (?=[a-zA-Z]+ )", line.strip())[0]


@pytest.mark.parametrize("code", CODE)
def test_the_code_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "tests" / "packed" / "golden" / "format1_w1a8", tmp_path / "packed" / "w1a8")
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102 - our own page
