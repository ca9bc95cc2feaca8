"""A teacher's folder, a pre-trained model's, files of text and pairs are watched, whatever their names."""

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


def _quoted(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"


def test_a_changed_text_or_pair_file_is_seen_by_who_reads_it(root: Path) -> None:
    text, pairs = Path(f"{NAME}.txt"), root / f"{NAME}.csv"
    text.write_text("The lake froze.\n", encoding="utf-8")
    pairs.write_text("a,b\nice,snow\n", encoding="utf-8")
    judged_by = f"[{{name: mine, file: {_quoted(str(pairs))}, columns: [a, b]}}]"
    chosen = ["task=embeddings", "model=minilm", "ladder=embeddings", f"task.judged_by={judged_by}"]
    rung = "{bits: 1, activation_bits: 8, init_from: pretrained, duration: {steps: 9}}"
    given = [f"data.corpus=[{_quoted(str(text))}]", f"+general.plain_w1a8={rung}"]
    metrics = ["task.validation_splits=[mine]", "task.metrics=[recall_at_10]"]
    made_up.params(Path(), *chosen, *given, *metrics)
    for place in (
        "data/embeddings/plain",
        "data/embeddings/corpus",
        "models/pretrained",
        "models/plain_w1a8",
    ):
        Path(place).mkdir(parents=True)
        Path(place, "model.safetensors").write_text("once\n")
    readers = {"prepare", "general@plain_w1a8"}
    with Repo(".") as repo:
        for stage in sorted(readers):
            repo.commit(stage, force=True)
    assert not readers & graph.changed()
    pairs.write_text("a,b\nice,water\n", encoding="utf-8")
    assert readers & graph.changed() == {"prepare"}
    text.write_text("The lake thawed.\n", encoding="utf-8")
    assert readers <= graph.changed()
