"""Stages run by a pool: what stays at home, what is ordered again, and how an end is told."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.client import orchestration
from prefect.states import Completed, Crashed, Failed, Running, State

from flows import graph
from flows.machines import deploy, exchange, orders
from flows.machines.exchange import Order
from flows.walk import Children, Outcome
from pipeline import paths


class Server:
    """Prefect's client; each flow run passes through the next list of states."""

    def __init__(self, *ends: list[State[Any]]) -> None:
        self.ends, self.ordered = [*ends], list[dict[str, Any]]()
        self.states: list[State[Any]] = []
        self.going: list[Any] = []

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read_deployment_by_name(self, name: str) -> Any:
        assert name == "stage/pool"
        return SimpleNamespace(id=uuid4())

    def read_flow_runs(self, *, flow_run_filter: Any) -> list[Any]:
        assert flow_run_filter.name.any_ == ["weights@w8"]
        return self.going

    def create_flow_run_from_deployment(self, _: str, *, parameters: dict[str, Any], name: str) -> Any:
        self.ordered.append(parameters)
        self.states = self.ends.pop(0)
        return SimpleNamespace(id=f"run {len(self.ordered)}", name=name)

    def read_flow_run(self, run: str) -> Any:
        now = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        total = SimpleNamespace(total_seconds=lambda: 1.0)
        return SimpleNamespace(id=run, name="w8", state=now, total_run_time=total)


@pytest.fixture
def exchanged(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Which stages some clone has finished."""
    done: dict[str, bool] = {}
    monkeypatch.setattr(exchange, "order", lambda stage: Order(stage, {}, {}))
    monkeypatch.setattr(exchange, "restore", lambda stage: done.get(stage, False))
    monkeypatch.setattr(Children, "reproduce", lambda _, stage, show, **how: Outcome(stage, "cached"))
    monkeypatch.setattr(orders, "POLL_S", 0.001)
    return done


def run(
    monkeypatch: pytest.MonkeyPatch, server: Server, stage: str = "weights@w8"
) -> tuple[Outcome, list[str]]:
    monkeypatch.setattr(orchestration, "get_client", lambda **_: server)
    said: list[str] = []
    return orders.PoolChildren("pool").reproduce(stage, said.append), said


def test_a_stage_whose_worker_died_is_ordered_again(
    monkeypatch: pytest.MonkeyPatch, exchanged: dict[str, bool]
) -> None:
    def finish(stage: str) -> bool:
        return len(server.ordered) == 2

    server = Server([Running(), Crashed(message="No heartbeat")], [Running(), Completed()])
    monkeypatch.setattr(exchange, "restore", finish)
    outcome, said = run(monkeypatch, server)
    assert outcome == Outcome("weights@w8", "ran")
    assert "weights@w8: ordered again (2 of 3)" in said


def test_a_flow_run_of_the_same_order_is_waited_for_and_not_ordered_twice(
    monkeypatch: pytest.MonkeyPatch, exchanged: dict[str, bool]
) -> None:
    server = Server()
    others = SimpleNamespace(id="other", name="weights@w8", parameters={"inputs": {"cmd": "another"}})
    own = SimpleNamespace(id="own", name="weights@w8", parameters={"inputs": {}})
    server.going, server.states = [others, own], [Failed(message="exit code 4")]
    outcome, said = run(monkeypatch, server)
    assert (outcome.exit_code, server.ordered) == (4, [])
    assert said[0].endswith("flow run own")


def test_it_is_given_up_after_three_deaths(
    monkeypatch: pytest.MonkeyPatch, exchanged: dict[str, bool]
) -> None:
    server = Server(*([Crashed()] for _ in range(3)))
    assert run(monkeypatch, server)[0] == Outcome("weights@w8", "failed", 1)
    assert len(server.ordered) == 3


def test_a_stage_that_failed_is_not_tried_again_and_its_code_is_kept(
    monkeypatch: pytest.MonkeyPatch, exchanged: dict[str, bool]
) -> None:
    server = Server([Failed(message="weights@w8 did not end well\nexit code 5")])
    assert run(monkeypatch, server)[0] == Outcome("weights@w8", "failed", 5)
    assert len(server.ordered) == 1


def test_what_some_clone_has_finished_is_not_ordered(
    monkeypatch: pytest.MonkeyPatch, exchanged: dict[str, bool]
) -> None:
    exchanged["weights@w8"] = True
    server = Server()
    assert run(monkeypatch, server)[0] == Outcome("weights@w8", "cached")


def test_completed_is_believed_only_with_its_outputs(
    monkeypatch: pytest.MonkeyPatch, exchanged: dict[str, bool]
) -> None:
    outcome, said = run(monkeypatch, Server([Completed()]))
    assert outcome.how == "failed"
    assert "no run of these inputs" in said[-1]


@pytest.mark.parametrize("stage", orders.AT_HOME)
def test_some_stages_stay_at_home(
    monkeypatch: pytest.MonkeyPatch, exchanged: dict[str, bool], stage: str
) -> None:
    assert stage in graph.stages()
    assert run(monkeypatch, Server(), stage)[0] == Outcome(stage, "cached")


def test_machines_need_one_prefect_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(deploy.servers.StartError, match="set PREFECT_API_URL") as refused:
        deploy.shared_prefect()
    assert refused.value.exit_code == 3
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(deploy.servers.StartError, match="no healthy Prefect server"):
        deploy.shared_prefect()
    assert not (tmp_path / paths.WORK).exists()


def test_stopping_cancels_what_was_ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: dict[str, str] = {}
    server = Server()
    monkeypatch.setattr(orchestration, "get_client", lambda **_: server)
    server.set_flow_run_state = lambda run, state, force: cancelled.update({run: state.name})  # type: ignore[attr-defined]
    children = orders.PoolChildren("pool")
    children._ordered = {"weights@w8": "run 1", "weights@w4": "run 2"}
    children.stop()
    assert cancelled == {"run 1": "Cancelling", "run 2": "Cancelling"}
    assert children.reproduce("report", print) == Outcome("report", "failed", 130)
