"""A stage in several processes: one lock, one voice, its own exit codes, and nobody left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from scratch_project import ROOT, Scratch, gone, until

from flows import torchrun
from flows.torchrun import Ended, Restarts
from pipeline import params_file, paths
from pipeline.params import Params
from pipeline.training import device

ADDRESS = "weights@w8"
NO_FILE = "<N/A>"  # what torchrun says of a process that left no word


@dataclass
class Failure:
    """What torchrun knows of a process that failed."""

    exitcode: int
    timestamp: int = 0
    error_file: str = NO_FILE
    error_file_data: dict[str, Any] = field(default_factory=dict)


def failure(tmp_path: Path, exitcode: int, said: str = "", at: int = 0) -> Failure:
    if not said:
        return Failure(exitcode, at, error_file_data={"message": "<NONE>"})
    file = tmp_path / f"{exitcode}.json"
    file.touch()
    return Failure(exitcode, at, str(file), {"message": said})


def settings(**training: Any) -> Params:
    found = params_file.load(ROOT / "params.yaml")
    return found.model_copy(update={"training": found.training.model_copy(update=training)})


# which process is to blame


@pytest.mark.parametrize(
    ("codes", "wanted"),
    [
        # Who was killed says more than who then lost the connection to it, or was ended by torchrun.
        ({0: (1, "Connection closed"), 1: (-9, "")}, Ended(137, "process 1: was killed by SIGKILL")),
        ({0: (-15, ""), 1: (-11, "")}, Ended(139, "process 1: was killed by SIGSEGV")),
        ({0: (1, "Timed out"), 1: (143, "")}, Ended(1, "process 0: Timed out")),
        ({0: (1, "Timed out"), 1: (-14, "", 10)}, Ended(1, "process 0: Timed out")),
        ({0: (-9, "", 10), 1: (1, "Timed out")}, Ended(1, "process 1: Timed out")),
        ({0: (-15, ""), 1: (1, "")}, Ended(1, "process 1: ended with exit code 1")),
        # A code that says why is the stage's own, whichever process it was.
        ({0: (1, "Connection closed"), 1: (5, "w1: diverged")}, Ended(5, "w1: diverged")),
        ({0: (5, "w1: diverged"), 1: (5, "w1: diverged")}, Ended(5, "w1: diverged")),
        ({0: (-9, ""), 1: (4, "models/teacher: damaged")}, Ended(4, "models/teacher: damaged")),
        ({0: (143, ""), 1: (143, "")}, Ended(143, "process 0: ended with exit code 143")),
    ],
)
def test_of_several_that_failed_the_one_that_says_most_is_the_cause(
    codes: Mapping[int, tuple[Any, ...]], wanted: Ended, tmp_path: Path
) -> None:
    failures = {number: failure(tmp_path, *code) for number, code in codes.items()}
    assert torchrun.cause(failures) == wanted


# when to start again


LOST = Ended(137, "process 1: was killed by SIGKILL")


def reach(step: int, training: str = "0123456789abcdef") -> None:
    (paths.states_dir("w8") / training / f"step-{step:09d}").mkdir(parents=True)


@pytest.fixture
def restarts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Restarts:
    monkeypatch.chdir(tmp_path)
    reach(100)
    return Restarts("w8", ADDRESS)


def test_a_lost_process_is_made_good_for_as_long_as_that_gets_further(
    restarts: Restarts, caplog: pytest.LogCaptureFixture
) -> None:
    reach(200)
    assert restarts.are_worth_it(LOST)
    reach(600)
    assert restarts.are_worth_it(Ended(1, "process 0: Timed out"))
    assert caplog.messages[0] == f"{ADDRESS}: process 1: was killed by SIGKILL; starts again from step 200"
    assert not restarts.are_worth_it(LOST)  # no further than before


@pytest.mark.parametrize("exit_code", [2, 4, 5, 75, 130, 143])
def test_what_would_end_alike_is_not_started_again(restarts: Restarts, exit_code: int) -> None:
    reach(200)
    assert not restarts.are_worth_it(Ended(exit_code, "w8: diverged"))


@pytest.mark.parametrize("earlier", ["0123456789abcdef.aside", "fedcba9876543210"])
def test_an_earlier_trainings_states_are_no_measure_of_this_ones(
    earlier: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    reach(1000, earlier)
    restarts = Restarts("w8", ADDRESS)
    reach(200)
    assert restarts.are_worth_it(LOST)
    reach(400)
    assert restarts.are_worth_it(LOST)


def test_the_cores_that_may_be_used_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert torchrun._for_processes(4, Path())[device.THREADS_AT_MOST] == "4"
    assert torchrun._for_processes(64, Path())[device.THREADS_AT_MOST] == "1"
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert torchrun._for_processes(2, Path())[device.THREADS_AT_MOST] == "3"
    assert "OMP_NUM_THREADS" not in torchrun._for_processes(2, Path())


@pytest.mark.parametrize("stage", ["prepare", "augment", "pack", "evaluate", "report", "register"])
def test_only_stages_that_train_are_shared(stage: str) -> None:
    assert not torchrun.serves(settings(processes=2), stage)
    assert not torchrun.serves(settings(processes=1), "teacher")
    assert torchrun.serves(settings(processes=2), "teacher")


def test_a_pretrained_model_that_is_copied_is_copied_by_one() -> None:
    found = settings(processes=2)
    assert torchrun.serves(found, "pretrained")
    copied = found.model.model_copy(update={"source": "package"})
    assert not torchrun.serves(found.model_copy(update={"model": copied}), "pretrained")


def test_a_stage_that_cannot_be_shared_refuses_torchrun() -> None:
    with pytest.raises(torchrun.OneProcessError, match="one process") as caught:
        torchrun.require_shared("pack")
    assert caught.value.exit_code == 2
    torchrun.require_shared("weights_activations")


def test_a_process_whose_parent_ended_while_it_started_ends_too() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    command = f"from flows import processes; processes.die_with_parent(9, parent={ended.pid})"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT).returncode == -signal.SIGKILL


# with torchrun


@pytest.fixture
def several(scratch: Scratch) -> Scratch:
    """A scratch project whose training stages are to be shared by two processes."""
    path = scratch.root / "params.yaml"
    path.write_text(path.read_text().replace("processes: 1", "processes: 2"))
    return scratch


def at_work(scratch: Scratch) -> list[psutil.Process]:
    """The two processes, once both are at work."""
    until(lambda: len(scratch.calls()) == 2, "both at work")
    log = (scratch.root / "calls.log").read_text().splitlines()
    return [psutil.Process(int(line.split()[1])) for line in log]


@pytest.mark.slow
def test_two_processes_do_the_work_of_a_stage_and_one_of_them_speaks(several: Scratch) -> None:
    ended = several.run("flows.stage", "weights", "w8")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", f"{ADDRESS}: at work\n")
    assert len(several.calls()) == 2
    seen = several.seen(ADDRESS)["environment"]
    assert (seen["WORLD_SIZE"], seen["GLOO_SOCKET_IFNAME"]) == ("2", "lo")
    assert list((several.root / ".bitladder/launch").iterdir()) == []
    assert json.loads((several.root / f".bitladder/timings/{ADDRESS}.json").read_text())["seconds"] > 0


@pytest.mark.slow
def test_an_error_of_theirs_is_one_line_and_its_exit_code(several: Scratch) -> None:
    several.behave(ADDRESS, error="integrity")
    ended = several.run("flows.stage", "weights", "w8")
    said = f"{ADDRESS}: at work\n{ADDRESS}: models/teacher: no manifest\n"
    assert (ended.returncode, ended.stderr) == (4, said)


@pytest.mark.slow
def test_nothing_listens_and_nobody_is_left_when_the_stage_is_killed(several: Scratch) -> None:
    several.behave(ADDRESS, seconds=60)
    stage = several.start("flows.stage", "weights", "w8")
    processes = at_work(several)
    everyone = [*processes, psutil.Process(stage.pid)]
    connections = [each for process in everyone for each in process.net_connections("inet")]
    assert [each for each in connections if each.status == psutil.CONN_LISTEN] == []
    assert several.run("flows.stage", "weights", "w8").returncode == 75
    stage.kill()
    until(lambda: all(gone(each.pid) for each in everyone), "all of them gone")
