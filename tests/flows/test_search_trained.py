"""A search with real stages on a tiny BERT: killed in the middle, shared by two processes, and made again.

A stage needs seconds to start, so these take a few minutes.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import repeat_project
import search_project
from ruamel.yaml import YAML
from scratch_project import until

from bitladder import files
from flows.search import kept
from pipeline import paths
from pipeline.params_file import load
from pipeline.reporting import search
from pipeline.stages import augment, prepare, pretrained

pytestmark = pytest.mark.slow

SPACE = """
# Two rungs, straight or by way of w1.
target: w1a8
steps: 200
weights:
  w1: {bits: 1, init_from: [teacher], data: [plain, augmented], share: [0.5]}
weights_activations:
  w1a8: {bits: 1, activation_bits: 8, init_from: [w1, teacher], data: [plain]}
"""
LADDERS = 3
LONG = ("training.checkpoint_every=10", "task.metrics=[accuracy]")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With its data and its pre-trained model; the teacher is the search's to make. The working directory."""
    repeat_project.make(tmp_path)
    repeat_project.compose(tmp_path, *LONG)
    monkeypatch.chdir(tmp_path)
    search_project.write_space(SPACE)
    params = load(Path("params.yaml"))
    for each in (prepare, pretrained, augment):
        each.run(params)
    return tmp_path


def start(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=root,
        env={**repeat_project.environment(root), "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def ended(process: "subprocess.Popen[str]") -> str:
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said
    return said


def test_killed_and_continued_and_shared_and_made_again(project: Path) -> None:
    """One project, in the order in which a person would: each step costs seconds to set up."""
    command = ("bitladder.cli", "search", "--space", "small", "--trials", str(LADDERS))
    first = start(project, *command)
    until(
        lambda: any(kept.RUNGS.glob("*/.bitladder/work/*/*/step-*")) or first.poll() is not None,
        "a rung trains",
        within_s=400,
    )
    assert first.poll() is None, first.communicate()
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=60)
    assert not search.path("found").exists()

    both = [start(project, *command) for _ in range(2)]
    said = [ended(one) for one in both]
    assert all(f"0 of {LADDERS} trials are done" in one for one in said)
    assert any("goes on from step" in log.read_text() for log in kept.RUNGS.glob(f"*/{kept.LOG}"))
    found = search.read(search.path("found"))
    assert [trial.how for trial in found.trials] == ["trained"] * LADDERS
    assert len({str(trial.rungs) for trial in found.trials}) == LADDERS
    assert len(search_project.trained()) == 5  # both kinds of w1, three w1a8
    assert all(trial.core_seconds_alone > 0 for trial in found.trials)

    again = ended(start(project, *command))
    assert f"{LADDERS} of {LADDERS} trials are done" in again
    assert search.read(search.path("found")) == found

    ladder = YAML(typ="safe").load(Path("conf/ladder/found.yaml").read_text(encoding="utf-8"))
    values = {**YAML(typ="safe").load(paths.PARAMS.read_text(encoding="utf-8")), **ladder, "seeds": [0]}
    in_search = {rung.name: files.sha256(rung.model / paths.WEIGHTS) for rung in kept.chain(values)}
    with paths.PARAMS.open("w", encoding="utf-8") as file:
        YAML().dump(values, file)
    ended(start(project, "dvc", "repro", "weights_activations@w1a8"))
    made = {name: files.sha256(paths.model_dir(name) / paths.WEIGHTS) for name in in_search}
    assert made == in_search
