"""A stage whose code or parameters are others at its end than at its start is no stage that was run."""

import os
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo

from flows import graph, stage, unchanged

DVC_YAML = """
stages:
  weights:
    foreach: [w8]
    do:
      cmd: 'true'
      deps: [pipeline/training, bitladder/heads.py]
      params: [seed, budget.rung]
"""
PARAMS = "seed: 0\nbudget: {rung: {steps: 1}, teacher: {steps: 2}}\n"


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """What `weights@w8` asks at its end; the project is the working directory."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_STAGE", "weights@w8")
    with chdir(tmp_path):
        Repo.init(no_scm=True).close()
        Path("dvc.yaml").write_text(DVC_YAML)
        Path("params.yaml").write_text(PARAMS)
        for path in ("pipeline/training/loop.py", "pipeline/stages/report.py", "bitladder/heads.py"):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text("")
        yield unchanged.watched("weights@w8")


@pytest.mark.parametrize(
    ("path", "content", "named"),
    [
        ("pipeline/training/loop.py", "pass\n", "pipeline/training/loop.py"),
        ("pipeline/training/new.py", "", "pipeline/training/new.py"),
        ("bitladder/heads.py", "pass\n", "bitladder/heads.py"),
        ("params.yaml", PARAMS.replace("seed: 0", "seed: 1"), "seed"),
        ("params.yaml", PARAMS.replace("steps: 1", "steps: 3"), "budget.rung"),
        ("params.yaml", "seed: 0\n", "budget.rung"),
    ],
)
def test_what_the_stage_is_made_from_is_named(
    check: Callable[[], None], path: str, content: str, named: str
) -> None:
    Path(path).write_text(content)
    with pytest.raises(unchanged.ChangedMeanwhileError, match=f"^changed while this ran: {named};"):
        check()


def test_what_other_stages_are_made_from_is_no_matter(check: Callable[[], None]) -> None:
    check()
    Path("pipeline/stages/report.py").write_text("pass\n")
    Path("params.yaml").write_text(f"# a comment\n{PARAMS.replace('steps: 2', 'steps: 3')}")
    check()


def test_by_hand_nothing_is_recorded_and_nothing_checked(
    check: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_STAGE")
    by_hand = unchanged.watched("weights@w8")
    Path("params.yaml").write_text("seed: 1\n")
    by_hand()


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        (".dvc/tmp/rwlock", '{"wr', r"rm \.dvc/tmp/rwlock"),
        ("dvc.lock", "<<<<<<< HEAD\nschema: '2.0'\n=======\n", "git checkout -- dvc.lock"),
    ],
)
@pytest.mark.usefixtures("check")
def test_a_torn_file_of_dvcs_is_named_with_what_to_do(name: str, content: str, remedy: str) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(content)
    with pytest.raises(graph.TornFileError, match=remedy) as caught:
        graph.changed()
    assert caught.value.exit_code == 4
    with pytest.raises(graph.NoAnswerError, match=remedy):
        graph.states()
    assert Path(name).read_text() == content


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory")])
def test_too_little_memory_says_what_needs_less(error: Exception) -> None:
    said = stage._explain("weights@w8", error)
    assert f"{os.linesep}Memory was not enough; this process had taken " in said
    assert "task.max_length" in said
    assert "Memory" not in stage._explain("weights@w8", RuntimeError("something else"))
