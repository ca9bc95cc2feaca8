"""What would run and why, asked of a real DVC."""

import subprocess
import sys
from pathlib import Path

import pytest
from scratch_project import STAGES, Scratch

from flows import graph

DVC_YAML = """
stages:
  first:
    cmd: python -c "open('a', 'w').write('1')"
    params: [x]
    outs: [a]
  second:
    cmd: python -c "open('b', 'w').write('1')"
    deps: [a]
    outs: [b]
  apart:
    cmd: python -c "open('c', 'w').write('1')"
    outs: [c]
  always:
    cmd: python -c ""
    always_changed: true
"""


def dvc(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True)


@pytest.mark.slow
def test_a_stage_runs_for_what_changed_and_what_is_below_may_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("params.yaml").write_text("x: 1\n")
    dvc("init", "--no-scm")
    assert {state.stage: state.why for state in graph.states()}["first"] == "not run yet"
    dvc("repro")
    Path("params.yaml").write_text("x: 2\n")
    timings = Path(".bitladder/timings")
    timings.mkdir(parents=True)
    (timings / "first.json").write_text('{"seconds": 2.5}')
    states = {state.stage: (state.state, state.why, state.seconds) for state in graph.states()}
    assert states == {
        "first": ("runs", "x modified", 2.5),
        "second": ("may run", "after first", None),
        "apart": ("skipped", "nothing changed", None),
        "always": ("runs", "runs every time", None),
    }


@pytest.mark.slow
def test_a_folder_without_dvc_gives_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(graph.NoAnswerError, match="not inside of a DVC repository"):
        graph.states()


def test_dvcs_changes_become_a_sentence() -> None:
    changes = [
        {"changed deps": {"models/w4": "modified", "params.yaml": {"weights.w2.init_from": "modified"}}},
        {"changed outs": {"models/w2": "deleted"}},
        "changed command",
    ]
    assert (
        graph.why(changes)
        == "models/w4 modified; weights.w2.init_from modified; models/w2 deleted; changed command"
    )


def test_the_graph_is_dvcs_own(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scratch.root)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(scratch.root / "site"))
    needs = {
        "prepare": [],
        "weights@w8": ["prepare"],
        "weights@w4": ["weights@w8"],
        "weights@w2": ["prepare"],
    }
    assert graph.stages() == needs
    assert list(graph.stages("weights@w4")) == ["prepare", "weights@w8", "weights@w4"]
    assert graph.stages("weights") == needs
    assert graph.changed() == set(STAGES)
    with pytest.raises(graph.UnknownStageError, match=r"'weights@w9'.*weights@w8"):
        graph.stages("weights@w9")
