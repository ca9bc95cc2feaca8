"""The graph as one flow: order, what is skipped, what a failure stops, and that Prefect only watches."""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scratch_project import Scratch, ask, gone, mortal, until

from flows import graph, run, servers, torchrun, walk
from flows.walk import Children, Outcome, Walk

RUN = ("bitladder.cli", "run")


class Recorded(Children):
    """Stages that take no time; `broken` ones fail."""

    def __init__(self, broken: set[str]) -> None:
        super().__init__()
        self.broken = broken
        self.began: list[str] = []
        self.ended: list[str] = []
        self.forced: set[str] = set()
        self.most_at_once = 0
        self._recording = threading.Lock()

    def reproduce(self, stage: str, show: Callable[[str], None], *, force: bool = False) -> Outcome:
        with self._recording:
            self.began.append(stage)
            self.forced |= {stage} if force else set()
            self.most_at_once = max(self.most_at_once, len(self.began) - len(self.ended))
        time.sleep(0.0005)
        with self._recording:
            self.ended.append(stage)
        return Outcome(stage, "failed", 5) if stage in self.broken else Outcome(stage, "ran")


@st.composite
def graphs(draw: st.DrawFn) -> graph.Graph:
    """Up to eight stages, each needing some of those before it."""
    names = [f"s{number}" for number in range(draw(st.integers(1, 8)))]
    return {
        name: draw(st.lists(st.sampled_from(names[:at]), unique=True)) if at else []
        for at, name in enumerate(names)
    }


def after(stages: graph.Graph, broken: set[str]) -> set[str]:
    """Everything that needs a broken stage, directly or not."""
    found: set[str] = set()
    for name, needs in stages.items():  # in order: what is needed comes first
        if any(needed in broken | found for needed in needs):
            found.add(name)
    return found


@settings(max_examples=60, deadline=None)
@given(stages=graphs(), jobs=st.integers(1, 3), data=st.data())
def test_every_stage_runs_once_after_what_it_needs_and_none_after_a_failure(
    stages: graph.Graph, jobs: int, data: st.DataObject
) -> None:
    broken = set(data.draw(st.lists(st.sampled_from(sorted(stages)), unique=True, max_size=2)))
    children = Recorded(broken)
    going = Walk(stages, jobs, changed=set(stages), watched=False, children=children)
    run.without_prefect(going)
    assert sorted(children.began) == sorted(stages.keys() - after(stages, broken))
    for stage in children.began:
        assert all(children.ended.index(needed) < children.ended.index(stage) for needed in stages[stage])
    assert children.most_at_once <= jobs
    assert going.exit_code() == (5 if broken & set(children.began) else 0)


def test_a_walk_that_prefect_began_is_finished_without_it_and_nothing_runs_twice() -> None:
    stages = {"a": [], "b": ["a"], "c": ["b"]}
    children = Recorded(set())
    going = Walk(stages, 1, changed=set(stages), watched=False, children=children)

    def lost_after_a(stage: str, needs: dict[str, Any]) -> Any:
        if needs:
            raise ConnectionError
        return pool.submit(going.do, stage)

    with ThreadPoolExecutor(1) as pool, pytest.raises(ConnectionError):
        going.go(lost_after_a)
    run.without_prefect(going)
    assert children.began == ["a", "b", "c"]


def test_dvc_is_not_asked_about_stages_before_the_first_change() -> None:
    stages = {"a": [], "b": ["a"], "c": ["b"], "d": ["a"]}
    children = Recorded(set())
    going = Walk(stages, 1, changed={"b"}, watched=False, children=children)
    run.without_prefect(going)
    assert children.began == ["b", "c"]
    assert going.summary() == "2 ran, 2 up to date"


def test_what_dvc_cannot_know_to_be_outdated_is_forced() -> None:
    stages = {"a": [], "b": ["a"], "c": ["b"]}
    children = Recorded(set())
    going = Walk(stages, 1, changed=set(), forced={"b"}, watched=False, children=children)
    run.without_prefect(going)
    assert (children.began, children.forced) == (["b", "c"], {"b"})


@pytest.mark.parametrize(
    ("returncode", "output", "how", "code"),
    [
        (0, "Running stage 'w8':\n> python -m flows.stage weights\n", "ran", 0),
        (0, "Stage 'w8' didn't change, skipping\n", "cached", 0),
        (0, "Stage 'w8' is cached - skipping run, checking out outputs\n", "cached", 0),
        (255, "ERROR: failed to reproduce 'w8': failed to run: python, exited with 4\n", "failed", 4),
        (255, "ERROR: failed to reproduce 'w8': failed to run: python, exited with -9\n", "failed", 1),
        (255, "ERROR: '/p/models/w8' is busy, it is being blocked by:\n", "failed", 75),
        (255, "ERROR: unexpected error\n", "failed", 1),
    ],
)
def test_what_dvc_says_tells_how_a_stage_ended(returncode: int, output: str, how: str, code: int) -> None:
    assert walk.judge("w8", returncode, output) == Outcome("w8", how, code)  # type: ignore[arg-type]


@pytest.mark.parametrize(("cores", "jobs", "own"), [(8, 2, "4"), (2, 2, "1"), (2, 3, "1"), (8, 1, None)])
def test_stages_side_by_side_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, jobs: int, own: str | None
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setenv(torchrun.THREADS_AT_MOST, "kept, and put back")
    monkeypatch.delenv(torchrun.THREADS_AT_MOST)
    run.share_cores(jobs)
    assert os.environ.get(torchrun.THREADS_AT_MOST) == own


def test_wrong_parameters_stop_everything_before_it_starts(scratch: Scratch) -> None:
    text = (scratch.root / "params.yaml").read_text()
    (scratch.root / "params.yaml").write_text(text.replace("seed: 0", "seed: -1\nsede: 3", 1))
    ended = scratch.run(*RUN)
    assert ended.returncode == 2
    assert "seed" in ended.stderr
    assert "sede" in ended.stderr
    assert not (scratch.root / ".bitladder").exists()


def shown(api: str, kind: str, **chosen: Any) -> list[dict[str, Any]]:
    return list(ask(f"{api}/{kind}/filter", {"sort": "START_TIME_ASC"} | chosen))


def last_flow(api: str) -> dict[str, Any]:
    found = shown(api, "flow_runs", flows={"name": {"any_": [servers.FLOW]}})
    return max(found, key=lambda flow_run: str(flow_run["created"]))


def tasks_of(api: str, flow_run: dict[str, Any], count: int) -> dict[str, str]:
    """Names and states of a flow run's tasks; they arrive at the server a moment after the flow has ended."""
    of_it = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}

    def ended() -> list[dict[str, Any]]:
        return [task for task in shown(api, "task_runs", **of_it) if task["end_time"]]

    until(lambda: len(ended()) >= count, f"{count} tasks shown", within_s=20)
    return {task["name"]: task["state_name"] for task in ended()}


def picture(api: str, flow_run: dict[str, Any]) -> dict[str, set[str]]:
    """Which stages Prefect's picture of a flow run draws an edge from, by stage."""
    nodes = dict(ask(f"{api}/flow_runs/{flow_run['id']}/graph-v2")["nodes"])
    names = {key: node["label"].rpartition(" / ")[2] for key, node in nodes.items()}
    return {names[key]: {names[edge["id"]] for edge in node["parents"]} for key, node in nodes.items()}


@pytest.mark.slow
def test_a_failure_stops_what_needs_it_and_the_next_run_does_the_rest(
    scratch: Scratch, prefect_api: str
) -> None:
    scratch.behave("weights@w8", error="integrity")
    wanted = [*RUN, "--jobs", "2", "--target", "weights@w4"]
    ended = scratch.run(*wanted, PREFECT_API_URL=prefect_api)
    assert ended.returncode == 4  # the stage's own code, not DVC's 255
    assert scratch.ends() == ["prepare"]
    assert "weights@w8 | Running stage 'weights@w8':" in ended.stdout
    assert ended.stdout.endswith("1 ran, 0 up to date; failed: weights@w8; not run: weights@w4\n")
    flow_run = last_flow(prefect_api)
    assert flow_run["state_name"] == "Failed"
    states = {"prepare": "Completed", "weights@w8": "Failed"}
    assert tasks_of(prefect_api, flow_run, 2) == states

    scratch.behave("weights@w8")
    scratch.forget()
    ended = scratch.run(*wanted, PREFECT_API_URL=prefect_api)
    assert (ended.returncode, scratch.calls()) == (0, ["weights@w8", "weights@w4"])
    assert ended.stdout.endswith("2 ran, 1 up to date\n")
    flow_run = last_flow(prefect_api)
    states = {"prepare": "Cached", "weights@w8": "Completed", "weights@w4": "Completed"}
    assert tasks_of(prefect_api, flow_run, 3) == states
    edges = {"prepare": set(), "weights@w8": {"prepare"}, "weights@w4": {"weights@w8"}}
    assert picture(prefect_api, flow_run) == edges


@pytest.mark.slow
def test_the_server_may_die_and_the_work_goes_on(scratch: Scratch, prefect_api: str) -> None:
    scratch.behave("prepare", seconds=1)
    port = int(prefect_api.split(":")[2].partition("/")[0])
    with mortal(port) as (other_port, die):
        api = f"http://127.0.0.1:{other_port}/api"
        process = scratch.start(*RUN, "--target", "weights@w8", PREFECT_API_URL=api)
        scratch.pid("prepare")
        die()
        until(lambda: scratch.ends() == ["prepare", "weights@w8"], "both stages have ended")
        done = time.monotonic()
        out, said = process.communicate(timeout=60)
    assert time.monotonic() - done < 20
    assert process.returncode == 0, said
    assert scratch.calls() == ["prepare", "weights@w8"]
    assert (out + said).count("Prefect") == 2  # one line, and the name of its server in it
    assert out.endswith("2 ran, 0 up to date\n")


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_stopping_it_stops_every_process_under_it(
    scratch: Scratch, prefect_api: str, sent: signal.Signals, code: int
) -> None:
    scratch.behave("prepare", seconds=60)
    process = scratch.start(*RUN, PREFECT_API_URL=prefect_api)
    scratch.pid("prepare")
    everyone = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    if sent == signal.SIGINT:
        second = scratch.run(*RUN, PREFECT_API_URL=prefect_api)
        assert second.returncode == 75
        assert f"process {process.pid} " in second.stderr
    os.kill(process.pid, sent)
    assert process.wait(timeout=20) == code
    until(lambda: all(map(gone, everyone)), "all have ended", within_s=10)
    assert scratch.ends() == []
