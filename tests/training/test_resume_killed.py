"""The stage's own command killed for real: at random moments, while it writes, with its dvc; then run on."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import harness
import pytest
import short_demo
from harness import Template, begun, start, until
from writer_points import POINTS

from bitladder import files

NUM_STEPS, EVERY = 400, 10
MODEL = Path("models/w1")
STATES = Path(".bitladder/work/w1")
DVC_YAML = """
stages:
  weights:
    foreach: {w1: teacher}
    do:
      cmd: python -m flows.stage weights
      deps:
      - models/${item}
      outs:
      - models/${key}
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, and a rung of many small steps still to be trained."""
    root = tmp_path_factory.mktemp("made")
    with chdir(root):
        steps = (f"budget.rung.steps={NUM_STEPS}", f"training.checkpoint_every={EVERY}")
        params = short_demo.make(*steps)
        for name in ("pretrained", "teacher"):
            short_demo.STAGES[name](params)
    return root


@pytest.fixture
def project(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(made_once, tmp_path / "project")
    monkeypatch.chdir(root)
    return root


@pytest.fixture(scope="module")
def template(made_once: Path) -> Iterator[Template]:
    with harness.template(made_once) as made:
        yield made


@pytest.fixture(scope="module")
def uninterrupted(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the rung's files when nothing stops its training."""
    with chdir(shutil.copytree(made_once, tmp_path_factory.mktemp("whole") / "project")):
        stage = start("-m", "flows.stage", "weights", "w1")
        stage.communicate()
        assert stage.returncode == 0, Path("stderr").read_text()
        return files.verify(MODEL)


def states() -> list[int]:
    """The steps of the states that are there, each of them whole."""
    found = sorted(STATES.glob("*/step-*"))
    for folder in found:
        files.verify(folder)
    return [int(folder.name.removeprefix("step-")) for folder in found]


def test_twenty_kills_at_random_moments(
    template: Template, project: Path, uninterrupted: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    draw, kills, lost = random.Random(0), 0, []
    while kills < 20:
        before = len(begun())
        pid = template.start()
        if kills % 5:  # every fifth one may die before its first step
            after = before + draw.randint(1, 2 * EVERY)
            until(lambda after=after: len(begun()) >= after)  # type: ignore[misc]
        time.sleep(draw.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        if template.end() == 0:
            pytest.fail(f"was done after {kills} kills: too few steps for this machine")
        kills += 1
        if steps := begun()[before:]:
            newest = max(states(), default=0)
            lost.append(steps[-1] - newest)
            assert lost[-1] <= EVERY, "more than one interval is lost"
    template.start()
    assert template.end() == 0, Path("output").read_text()
    found = files.verify(MODEL)
    with capsys.disabled():
        print(f"\n{kills} kills, at most {max(lost)} of {NUM_STEPS} steps lost; {len(begun())} begun")  # noqa: T201
        print(f"never stopped: {uninterrupted['model.safetensors']}")  # noqa: T201
        print(f"after kills:   {found['model.safetensors']}")  # noqa: T201
    assert found == uninterrupted
    assert not STATES.exists()


def test_killed_at_each_point_of_the_writer(
    template: Template, project: Path, uninterrupted: dict[str, str]
) -> None:
    for number, where in enumerate(POINTS):
        step = 40 + 40 * number
        template.start(kill_at=[where, step])
        assert template.end() == -signal.SIGKILL
        assert max(states()) == (step if where == "after rename" else step - EVERY), where
    template.start()
    assert template.end() == 0
    assert files.verify(MODEL) == uninterrupted


def test_ctrl_c_saves_and_a_second_one_does_not_wait(
    template: Template, project: Path, uninterrupted: dict[str, str]
) -> None:
    pid = template.start()
    until(lambda: len(begun()) > 25)
    os.kill(pid, signal.SIGINT)
    assert template.end() == 130
    stopped_at = begun()[-1]
    assert max(states()) == stopped_at
    said = Path("output").read_text()
    assert f"w1: stopped at step {stopped_at} of {NUM_STEPS}; the same command goes on from there" in said
    assert "Traceback" not in said

    pid = template.start(seconds_per_step=60)
    until(lambda: begun()[-1] == stopped_at + 1)
    os.kill(pid, signal.SIGINT)  # kept: the step is not over
    time.sleep(0.3)
    started = time.monotonic()
    os.kill(pid, signal.SIGINT)
    assert template.end() == 130
    assert time.monotonic() - started < 2
    assert max(states()) == stopped_at

    template.start()
    assert template.end() == 0
    assert files.verify(MODEL) == uninterrupted


def test_changed_parameters_end_it_before_its_first_step(template: Template, project: Path) -> None:
    template.start(kill_at=["before data", 2 * EVERY])
    assert template.end() == -signal.SIGKILL
    steps, params = len(begun()), Path("params.yaml")
    params.write_text(params.read_text().replace(f"steps: {NUM_STEPS}", "steps: 30"))
    template.start()
    assert template.end() == 2
    said = Path("output").read_text()
    assert f"  budget.rung.steps: {NUM_STEPS} then, 30 now\n" in said
    assert "set BITLADDER_FRESH=1 to start anew" in said
    assert len(begun()) == steps
    template.start(environment={"BITLADDER_FRESH": "1"})
    assert template.end() == 0
    assert begun()[steps:] == list(range(1, 31))
    assert [path.name.partition(".")[2] for path in STATES.iterdir()] == ["aside"]


def test_sigterm_is_a_state_within_the_grace_time(project: Path, uninterrupted: dict[str, str]) -> None:
    """The whole command, interpreter and all."""
    stage = start("-m", "flows.stage", "weights", "w1")
    until(lambda: any(STATES.glob("*/step-*")))
    started = time.monotonic()
    stage.terminate()
    said, _ = stage.communicate()
    assert stage.returncode == 143, (said, Path("stderr").read_text())
    assert time.monotonic() - started < 10
    assert f"stopped at step {max(states())} of {NUM_STEPS}" in Path("stderr").read_text()
    again = start("-m", "flows.stage", "weights", "w1")
    again.communicate()
    assert again.returncode == 0
    assert files.verify(MODEL) == uninterrupted


def test_a_killed_dvc_is_run_again(project: Path, uninterrupted: dict[str, str]) -> None:
    Path("dvc.yaml").write_text(DVC_YAML)
    assert start("-m", "dvc", "init", "--quiet", "--no-scm").wait() == 0
    dvc = start("-m", "dvc", "repro", "weights@w1")
    until(lambda: any(STATES.glob("*/step-*")))
    os.kill(dvc.pid, signal.SIGKILL)
    dvc.wait()  # as long as it is a zombie dvc takes it for alive
    lock = Path(".bitladder/locks/weights@w1.lock")
    until(lambda: not Path(f"/proc/{lock.read_text().strip()}").exists(), within_s=10)
    stopped_at = max(states())
    assert 0 < stopped_at < NUM_STEPS
    assert not MODEL.exists()
    again = start("-m", "dvc", "repro", "weights@w1")
    said, _ = again.communicate()
    assert again.returncode == 0, (said, Path("stderr").read_text())
    assert f"w1: goes on from step {stopped_at}" in Path("stderr").read_text()
    assert files.verify(MODEL) == uninterrupted
    assert not STATES.exists()
