"""A stage that is disturbed while it runs says so in a line, and the same command afterwards ends with the
bytes of a stage that nothing disturbed."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import harness
import pytest
import short_demo
from harness import ROOT, Template, begun, until

from bitladder import files

NUM_STEPS, EVERY = 60, 10
MODEL = Path("models/w1")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, and a rung still to be trained."""
    root = tmp_path_factory.mktemp("made")
    with chdir(root):
        params = short_demo.make(f"budget.rung.steps={NUM_STEPS}", f"training.checkpoint_every={EVERY}")
        for name in ("pretrained", "teacher"):
            short_demo.STAGES[name](params)
    return root


@pytest.fixture(scope="module")
def template(made_once: Path) -> Iterator[Template]:
    with harness.template(made_once) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(
    made_once: Path, template: Template, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    with chdir(shutil.copytree(made_once, tmp_path_factory.mktemp("whole") / "project")):
        assert template.run() == 0
        return files.verify(MODEL)


@pytest.fixture
def project(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(made_once, tmp_path / "project")
    monkeypatch.chdir(root)
    return root


def said() -> str:
    """What the stages have said since this was asked last; never a traceback."""
    text = Path("output").read_text()
    Path("output").unlink()
    assert "Traceback" not in text
    return text


def ends_well(template: Template, undisturbed: dict[str, str]) -> None:
    assert template.run() == 0, said()
    assert files.verify(MODEL) == undisturbed
    assert harness.leftovers() == []


def test_too_little_memory(template: Template, project: Path, undisturbed: dict[str, str]) -> None:
    assert template.run(too_much_memory_at=EVERY + 5) == 1
    text = said()
    assert "you tried to allocate 1125899906842624 bytes" in text
    assert "A smaller batch_size (in `training`) or task.max_length needs less" in text
    before = len(begun())
    ends_well(template, undisturbed)
    assert begun()[before:] == [*range(EVERY + 1, NUM_STEPS + 1)]


@pytest.mark.parametrize("place", [".bitladder/work", ".bitladder/locks"])
def test_a_file_where_a_folder_should_be(
    template: Template, project: Path, undisturbed: dict[str, str], place: str
) -> None:
    shutil.rmtree(place, ignore_errors=True)
    Path(place).parent.mkdir(exist_ok=True)
    Path(place).write_text("somebody's")
    assert template.run() == 1
    assert place in said()
    assert Path(place).read_text() == "somebody's"
    Path(place).unlink()
    ends_well(template, undisturbed)


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_clock_is_set_while_a_training_lies_stopped(
    template: Template, project: Path, undisturbed: dict[str, str], hours: int
) -> None:
    assert template.run(kill_at=["after rename", 2 * EVERY]) == -signal.SIGKILL
    assert template.run(kill_at=["after rename", 4 * EVERY], clock_s=3600 * hours) == -signal.SIGKILL
    before = len(begun())
    ends_well(template, undisturbed)
    assert begun()[before] == 4 * EVERY + 1


def test_the_same_stage_twice_at_once(
    template: Template, made_once: Path, project: Path, undisturbed: dict[str, str]
) -> None:
    with harness.template(made_once) as other:
        assert other.run("report") != 0  # it has begun to answer
        pid = template.start(seconds_per_step=0.05)
        until(lambda: len(begun()) > 5)
        assert other.run() == 75
    assert f"process {pid}" in Path("output").read_text()
    assert template.end() == 0
    assert begun() == [*range(1, NUM_STEPS + 1)]
    assert files.verify(MODEL) == undisturbed


def test_another_commit_is_checked_out_meanwhile(
    template: Template, project: Path, undisturbed: dict[str, str]
) -> None:
    """DVC hashes code and parameters after the stage: it would take the old result for the new code's."""
    for name in ("bitladder", "flows"):
        Path(name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "pipeline", "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
    Path("conf").mkdir()
    shutil.copy(ROOT / "conf" / "no_file", "conf/no_file")
    assert harness.start("-m", "dvc", "init", "--quiet", "--no-scm").wait() == 0
    loop, params, report = (
        Path(p) for p in ("pipeline/training/loop.py", "params.yaml", "pipeline/stages/report.py")
    )
    old = {path: path.read_text() for path in (loop, params, report)}
    by_dvc = {"environment": {"DVC_STAGE": "weights@w1"}, "seconds_per_step": 0.01}

    template.start(**by_dvc)
    until(lambda: len(begun()) > 5)
    loop.write_text(old[loop] + "# another commit\n")
    report.write_text(old[report] + "# is no code of this stage\n")
    params.write_text(old[params].replace(f"steps: {NUM_STEPS}", "steps: 61"))
    assert template.end() == 1
    text = said()
    assert (
        "w1: changed while this ran: budget.rung, pipeline/training/loop.py; what was made is of neither"
        in text
    )

    for path, content in old.items():
        path.write_text(content)
    template.start(**by_dvc)
    until(lambda: len(begun()) > NUM_STEPS + 5)
    report.write_text(old[report] + "# is no code of this stage\n")
    assert template.end() == 0, said()
    assert files.verify(MODEL) == undisturbed


def in_a_namespace(mount: str) -> "subprocess.CompletedProcess[str]":
    """The stage's own command where a person without rights has mounted something."""
    command = f"{mount} && exec {sys.executable} -m flows.stage weights w1"
    return subprocess.run(
        ["unshare", "-rm", "/bin/sh", "-c", command], env=harness.variables(), capture_output=True, text=True
    )


needs_namespaces = pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0,
    reason="no user namespaces",
)


@needs_namespaces
@pytest.mark.parametrize(
    ("size", "said"), [("60k", " bytes are needed, "), ("0", "")], ids=["later", "at the start"]
)
def test_the_disk_is_full(
    template: Template, project: Path, undisturbed: dict[str, str], size: str, said: str
) -> None:
    Path(".bitladder").mkdir(exist_ok=True)
    room = f"size={size}" if said else "nr_inodes=2"  # of no size at all: as much as there is
    done = in_a_namespace(f"mount -t tmpfs -o {room} none .bitladder")
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not MODEL.exists()
    ends_well(template, undisturbed)


@needs_namespaces
def test_the_models_may_not_be_written(
    template: Template, project: Path, undisturbed: dict[str, str]
) -> None:
    """Found at the end: what was trained is kept, and the next run only publishes it."""
    done = in_a_namespace("mount --bind models models && mount -o remount,bind,ro models")
    assert done.returncode == 1, done.stderr
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr
    ends_well(template, undisturbed)
    assert begun() == []


def test_an_empty_environment(template: Template, project: Path, undisturbed: dict[str, str]) -> None:
    """As cron starts things: no HOME, no PATH, no language."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.stage", "weights", "w1"],
        env={"PYTHONPATH": os.fspath(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert files.verify(MODEL) == undisturbed
