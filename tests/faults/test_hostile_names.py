"""Labels and texts that mean harm go through the whole delivery: no page obeys them, and no terminal."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import tiny_project

import bitladder
from bitladder import files, predict
from bitladder.packed import size
from pipeline import paths
from pipeline.data.tables import write_split
from pipeline.reporting import table
from pipeline.stages import evaluate, pack, report

EVIL = "<script>alert(1)</script>"
pytestmark = pytest.mark.slow
LABELS = [f"{EVIL}<img src=x onerror=alert(1)>", "=cmd|' /C calc'!A0\x1b]0;owned\x07\x9b2J\r"]
TEXT = f"=1+1 {EVIL} \x1b[2J [x](javascript:alert(1)) The dogs see the cat."
RUNG = "w1a8"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What every command prints about such a project, which is the working directory."""
    capture = pytest.MonkeyPatch()
    lines: list[str] = []
    with capture.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        for name in ("stdout", "stderr"):
            patch.setattr(f"sys.{name}.write", lambda text: lines.append(text) or len(text))
        found = tiny_project.make()
        task = found.task.model_copy(update={"label_names": LABELS})
        found = found.model_copy(update={"deliver": [RUNG], "claims": [], "task": task})
        hostile_rows(found.task.name)
        for name in ("teacher", *found.rungs):
            hostile_labels(paths.model_dir(name))
        pack.run(found, RUNG)
        evaluate.run(found)
        report.run(found)
        table.main(False)
        size.main(str(paths.packed_dir(RUNG)), False)
        predict.main(str(paths.packed_dir(RUNG)), TEXT, None, None, False)
        yield "".join(lines)


def hostile_labels(model: Path) -> None:
    config = files.read_json(model / files.CONFIG)
    config |= {"id2label": {str(n): label for n, label in enumerate(LABELS)}}
    config |= {"label2id": {label: n for n, label in enumerate(LABELS)}}
    files.write_json(model / files.CONFIG, config)
    files.seal(model, [*files.read_manifest(model)])


def hostile_rows(task: str) -> None:
    from pipeline.data.tables import read_split

    folder = paths.data_dir(task, "plain")
    frames = {path.stem: read_split(folder, path.stem) for path in folder.glob("*.parquet")}
    summary = files.read_json(folder / "summary.json")
    for split in summary["splits"].values():
        split["labels"] = dict(zip(LABELS, split["labels"].values(), strict=True))
    with files.publish(folder) as new:
        for name, frame in frames.items():
            write_split(new, name, frame.assign(sentence=[f"{TEXT} {n}" for n in range(len(frame))]))
        files.write_json(new / "summary.json", summary)


def written(ending: str) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in Path().rglob(f"*{ending}")]


def test_the_names_are_there_exactly(said: str) -> None:
    answer = bitladder.load(paths.packed_dir(RUNG))(TEXT)
    assert answer["scores"].keys() == {*LABELS}


def test_no_terminal_gets_control_characters(said: str) -> None:
    assert "owned" in said
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", said) == []


@pytest.mark.parametrize("ending", [".html", ".md"])
def test_no_page_has_their_markup(said: str, ending: str) -> None:
    pages = written(ending)
    assert pages
    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "](javascript:" not in page or ending == ".html"
        assert ending == ".html" or "\x1b" not in page  # nobody reads HTML in a terminal


def test_no_spreadsheet_has_a_formula(said: str) -> None:
    tables = written(".csv")
    assert tables
    cells = [cell for text in tables for row in csv.reader(text.splitlines()) for cell in row]
    assert [cell for cell in cells if re.match(r"[=@\t\r]|[+-](?![\d.]+)", cell)] == []
