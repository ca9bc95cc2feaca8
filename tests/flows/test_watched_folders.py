"""The folders of a teacher and of a pre-trained model are watched, whatever they are called."""

from pathlib import Path

import foreign_models
import made_up
import own_rows
import pytest
from dvc.repo import Repo

from flows import graph
from flows.compress import project
from pipeline.params import Params

pytestmark = pytest.mark.slow
NAME = "mein Modell #1? 'a' \"b\" %20"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the working directory."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    project.settle(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def as_made(*overrides: str) -> Params:
    """params.yaml, and the stage's inputs and outputs as if it had run."""
    own = own_rows.choices("classification", own_rows.write(Path("rows.jsonl"), "classification", 40))
    params = made_up.params(Path(), *own, *overrides)
    for place in ("data/custom/corpus", "models/pretrained"):
        Path(place).mkdir(parents=True, exist_ok=True)
        Path(place, "made").write_text("once\n")
    with Repo(".") as repo:
        repo.commit("pretrained", force=True)
    return params


@pytest.mark.parametrize("section", ["teacher", "model"])
def test_a_changed_folder_is_seen(root: Path, section: str) -> None:
    folder = foreign_models.roberta(root / NAME, *own_rows.NAMES["classification"])
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    choice = "model=own" if section == "teacher" else "model=minilm"
    params = as_made(choice, f"{section}.source=path", f"{section}.location='{quoted}'")
    assert getattr(params, section).watched == getattr(params, section).location == str(folder)
    assert "pretrained" not in graph.changed()
    with (folder / "tokenizer_config.json").open("a") as file:
        file.write("\n")
    assert "pretrained" in graph.changed()


def test_a_repository_is_no_folder(root: Path) -> None:
    params = as_made(
        "model=own", "teacher.source=hub", "teacher.location=somebody/model", f"teacher.revision={'0' * 40}"
    )
    assert params.teacher.watched == "conf/no_file"
    assert "pretrained" not in graph.changed()
