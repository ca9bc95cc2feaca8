"""One stage as DVC starts it: what it finds, how it ends, and that nothing of it outlives its dvc."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from scratch_project import ROOT, Scratch, ask, gone, mortal, until

from flows import environment, stage
from pipeline import params_file

ADDRESS = "weights@w8"


def test_without_a_server_named_the_plain_function_runs_and_prefect_is_not_imported(scratch: Scratch) -> None:
    assert scratch.run("flows.stage", "weights", "w8").returncode == 0
    seen = scratch.seen(ADDRESS)
    assert (seen["prefect"], seen["rung"]) == (False, "w8")
    assert json.loads((scratch.root / ".bitladder/timings/weights@w8.json").read_text())["seconds"] >= 0


def test_the_work_finds_itself_offline_and_without_telemetry(scratch: Scratch) -> None:
    wanted = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    wanted |= {"TOKENIZERS_PARALLELISM": "false", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    for name in wanted:  # what somebody has set stays, and other tests' libraries set some
        scratch.environment.pop(name, None)
    scratch.run("flows.stage", "prepare")
    found = scratch.seen("prepare")["environment"]
    assert wanted.items() <= found.items()


@pytest.mark.parametrize("from_hub", ["data", "model", None])
def test_only_a_hub_in_the_parameters_opens_the_way_to_it(
    from_hub: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = params_file.load(ROOT / "params.yaml")
    if from_hub:
        section = getattr(settings, from_hub).model_copy(update={"source": "hub"})
        settings = settings.model_copy(update={from_hub: section})
    with mock.patch.dict(os.environ):
        for name in environment.OFFLINE:
            monkeypatch.delenv(name, raising=False)
        environment.stay_offline_unless(settings)
        assert ("HF_HUB_OFFLINE" in os.environ) is (from_hub is None)


@pytest.mark.parametrize(
    ("given", "dvc_stage", "rung"),
    [
        ([], "weights@w8", "w8"),
        ([], "sub/dvc.yaml:weights@w8", "w8"),
        ([], "pack@w8", None),
        ([], "weights", None),
        (["w4"], "weights@w8", "w4"),
    ],
)
def test_the_rung_is_what_follows_the_at_sign_unless_it_is_given(
    given: list[str], dvc_stage: str, rung: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", dvc_stage)
    assert stage._parse(["weights", *given]) == ("weights", rung)


def test_wrong_parameters_are_all_named_and_nothing_runs(scratch: Scratch) -> None:
    text = (scratch.root / "params.yaml").read_text()
    (scratch.root / "params.yaml").write_text(text.replace("seed: 0", "seed: -1\nsede: 3", 1))
    ended = scratch.run("flows.stage", "prepare")
    assert ended.returncode == 2
    assert "seed" in ended.stderr
    assert "sede" in ended.stderr
    assert scratch.calls() == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("value", 1, "prepare: weights.w8.bits: 3\n"),
        ("integrity", 4, "prepare: models/teacher: no manifest\n"),
        ("bug", 1, "prepare: KeyError: 'w8'\n"),
    ],
)
def test_a_failure_is_one_line_and_its_exit_code(scratch: Scratch, error: str, code: int, said: str) -> None:
    scratch.behave("prepare", error=error)
    ended = scratch.run("flows.stage", "prepare")
    assert (ended.returncode, ended.stderr) == (code, f"prepare: at work\n{said}")
    assert not (scratch.root / ".bitladder/timings").exists()


def test_the_traceback_is_there_when_asked_for(scratch: Scratch) -> None:
    scratch.behave("prepare", error="bug")
    assert "Traceback" in scratch.run("flows.stage", "prepare", BITLADDER_DEBUG="1").stderr


@pytest.mark.parametrize("name", ["a {x}", "}", "{}"])
def test_a_folder_in_which_dvc_fails_is_refused_before_any_work(name: str) -> None:
    environment.require_folder(Path("/home/with space/#?%"))
    with pytest.raises(environment.FolderNameError, match="DVC fails where a folder's name has"):
        environment.require_folder(Path("/home") / name / "project")


def test_a_second_writer_of_an_output_is_told_who_writes_it(scratch: Scratch) -> None:
    scratch.behave(ADDRESS, seconds=60)
    first = scratch.start("flows.stage", "weights", "w8")
    pid = scratch.pid(ADDRESS)
    second = scratch.run("flows.stage", "weights", "w8")
    assert second.returncode == 75
    assert f"process {pid} has held .bitladder/locks/weights@w8.lock" in second.stderr
    assert scratch.run("flows.stage", "weights", "w4").returncode == 0  # another output is free
    first.kill()
    first.wait()
    scratch.behave(ADDRESS)
    assert scratch.run("flows.stage", "weights", "w8").returncode == 0


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_work_with_the_shells_code(
    scratch: Scratch, sent: signal.Signals, code: int
) -> None:
    scratch.behave("prepare", seconds=60)
    process = scratch.start("flows.stage", "prepare")
    os.kill(scratch.pid("prepare"), sent)
    _, said = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in said


SHELL_THAT_STAYS = '#!/bin/sh\n/bin/sh -c "$2"\nexit $?\n'


@pytest.mark.slow
@pytest.mark.parametrize("shell_stays", [False, True])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_stage_does_not_outlive_its_dvc(scratch: Scratch, sent: signal.Signals, shell_stays: bool) -> None:
    shell = scratch.root / "sh"
    shell.write_text(SHELL_THAT_STAYS)
    shell.chmod(0o755)
    scratch.behave("prepare", seconds=60)
    shown = {"SHELL": str(shell)} if shell_stays else {"SHELL": "/bin/bash"}
    dvc = scratch.start("dvc", "repro", "--single-item", "prepare", **shown)
    pid = scratch.pid("prepare")
    os.kill(dvc.pid, sent)
    assert until(lambda: gone(pid), "the stage has ended", within_s=10) < 5
    assert scratch.ends() == []


def test_a_server_that_does_not_answer_costs_one_line(scratch: Scratch) -> None:
    ended = scratch.run("flows.stage", "prepare", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert ended.returncode == 0
    assert scratch.calls() == ["prepare"]
    assert ended.stderr.count("Prefect does not show") == 1


def last_flow_run(api: str, name: str) -> dict[str, Any]:
    found = ask(f"{api}/flow_runs/filter", {"flow_runs": {"name": {"any_": [name]}}})
    return dict(max(found, key=lambda flow_run: str(flow_run["created"])))


@pytest.mark.slow
def test_prefect_shows_a_stage_as_a_flow_run_with_its_task(scratch: Scratch, prefect_api: str) -> None:
    assert scratch.run("flows.stage", "weights", "w8", PREFECT_API_URL=prefect_api).returncode == 0
    shown = last_flow_run(prefect_api, ADDRESS)
    assert (shown["state_name"], scratch.calls()) == ("Completed", [ADDRESS])
    of_it = {"flow_runs": {"id": {"any_": [shown["id"]]}}}

    def tasks() -> list[tuple[str, str]]:
        found = ask(f"{prefect_api}/task_runs/filter", of_it)
        return [(task["name"], task["state_name"]) for task in found]

    until(lambda: tasks() == [(ADDRESS, "Completed")], "the task is shown")


@pytest.mark.slow
def test_a_failure_under_prefect_is_the_same_failure(scratch: Scratch, prefect_api: str) -> None:
    scratch.behave("prepare", error="integrity")
    ended = scratch.run("flows.stage", "prepare", PREFECT_API_URL=prefect_api)
    assert (ended.returncode, scratch.calls()) == (4, ["prepare"])
    assert ended.stderr == "prepare: at work\nprepare: models/teacher: no manifest\n"


@pytest.mark.slow
def test_the_server_may_die_while_the_stage_works(scratch: Scratch, prefect_api: str) -> None:
    scratch.behave("prepare", seconds=1)
    port = int(prefect_api.split(":")[2].partition("/")[0])
    with mortal(port) as (other_port, die):
        process = scratch.start(
            "flows.stage", "prepare", PREFECT_API_URL=f"http://127.0.0.1:{other_port}/api"
        )
        scratch.pid("prepare")
        die()
        until(lambda: scratch.ends() == ["prepare"], "the work is done")
        done = time.monotonic()
        _, said = process.communicate(timeout=60)
    assert time.monotonic() - done < 20
    assert process.returncode == 0
    assert (scratch.calls(), scratch.ends()) == (["prepare"], ["prepare"])
    assert said.count("Prefect does not show") == 1
    assert Path(scratch.root, "made/prepare").exists()


@pytest.mark.slow
def test_a_stage_that_is_stopped_is_crashed_for_prefect(scratch: Scratch, prefect_api: str) -> None:
    scratch.behave("weights@w2", seconds=60)
    process = scratch.start("flows.stage", "weights", "w2", PREFECT_API_URL=prefect_api)
    os.kill(scratch.pid("weights@w2"), signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert last_flow_run(prefect_api, "weights@w2")["state_type"] == "CRASHED"
