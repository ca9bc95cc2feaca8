"""Live curves reach MLflow once, whatever is repeated or cut short, and end up as their model's one run."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from ladder_on_disk import LADDER, Project

from pipeline.stages import register
from pipeline.tracking import commands, live_runs, publish, store
from pipeline.training import live

FINGERPRINT = "0123456789abcdef" * 4
CURVE = [(1, 0.9, None), (2, 0.5, 0.8)]  # that of every model in ladder_on_disk


@pytest.fixture(autouse=True)
def _spooled(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    monkeypatch.setenv(live.SPOOL, str(project.root / live.HOME / "demo"))


@contextmanager
def client() -> Iterator[Any]:
    with store.opened(store.locate()) as opened:
        yield opened


def train(
    name: str = "w1",
    points: list[tuple[int, float, float | None]] = CURVE,
    *,
    ends_by: type[BaseException] | None = None,
    fingerprint: str = FINGERPRINT,
) -> None:
    """Spool a training to its end."""
    with suppress(SystemExit), live.open(name, fingerprint) as training:
        for step, loss, score in points:
            training.point(step, loss=loss, score=score)
        if ends_by:
            raise ends_by


def deliver() -> list[live_runs.Delivery]:
    with client() as opened:
        done, left = live_runs.deliver_all(opened, store.locate())
    assert left == {}
    return done


@pytest.fixture
def one_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow refuses the curve of w1, the first of those that are spooled."""
    train("w1")
    train("w8")
    real = live_runs.deliver

    def deliver(client: Any, place: store.Store, task: str, curve: live.Curve) -> live_runs.Delivery:
        if curve.name == "w1":
            client.get_run("no such run")
        return real(client, place, task, curve)

    monkeypatch.setattr(live_runs, "deliver", deliver)


def runs(name: str = "w1") -> list[Any]:
    with client() as opened:
        experiment = opened.get_experiment_by_name("bitladder/demo")
        return list(opened.search_runs([experiment.experiment_id], f"tags.`bitladder.name` = '{name}'"))


def history(run_id: str, metric: str = "training/loss") -> list[tuple[int, float]]:
    with client() as opened:
        return sorted((point.step, point.value) for point in opened.get_metric_history(run_id, metric))


def test_a_curve_is_shown_while_it_grows_and_only_what_is_new_is_sent() -> None:
    with live.open("w1", FINGERPRINT) as training:
        training.point(1, loss=0.9, score=None)
        (first,) = deliver()
        assert (first.status, first.delivered, first.already_there) == ("RUNNING", 1, 0)
        training.point(2, loss=0.5, score=0.8)
    (second,) = deliver()
    assert (second.status, second.delivered, second.already_there) == ("FINISHED", 1, 1)
    (run,) = runs()
    assert (run.info.status, run.info.run_name) == ("FINISHED", "w1")
    assert run.info.start_time <= run.info.end_time
    assert history(run.info.run_id) == [(1, 0.9), (2, 0.5)]
    assert history(run.info.run_id, "training/score") == [(2, 0.8)]


def test_what_is_delivered_is_removed_once_its_training_has_ended() -> None:
    with suppress(SystemExit), live.open("w1", FINGERPRINT):
        deliver()
        assert len(live.curves()) == 1
        raise SystemExit
    deliver()
    assert live.curves() == {}
    assert deliver() == []


def test_a_training_that_is_resumed_while_it_is_delivered_keeps_its_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(points=CURVE[:1], ends_by=SystemExit)
    real, resumed = live_runs.deliver, ExitStack()

    def then_it_is_resumed(*arguments: Any) -> live_runs.Delivery:
        done = real(*arguments)
        resumed.enter_context(live.open("w1", FINGERPRINT)).point(2, loss=0.5, score=0.8)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(live_runs, "deliver", then_it_is_resumed)
        deliver()
    assert [curve.status for curve in live.curves().values()] == ["RUNNING"]
    resumed.close()
    deliver()
    assert history(runs()[0].info.run_id) == [(1, 0.9), (2, 0.5)]


def test_a_delivery_cut_short_is_repeated_without_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    train()
    with client() as opened:
        kind = type(opened)

    def breaks(*_: Any, **__: Any) -> None:
        raise store.StoreUnreachableError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(kind, "set_terminated", breaks)
        with pytest.raises(store.StoreUnreachableError):
            deliver()
    assert len(live.curves()) == 1
    (done,) = deliver()
    assert (done.delivered, done.already_there) == (0, 2)
    (run,) = runs()
    assert (run.info.status, history(run.info.run_id)) == ("FINISHED", [(1, 0.9), (2, 0.5)])


def test_mlflow_itself_keeps_a_point_once_that_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a request may be lost after the request was carried out."""
    with live.open("w1", FINGERPRINT) as training:
        for step, loss, score in CURVE:
            training.point(step, loss=loss, score=score)
        deliver()
    real = live_runs.runs
    monkeypatch.setattr(live_runs, "runs", lambda *asked: [(run, {}) for run, _ in real(*asked)])
    (blind,) = deliver()
    assert blind.delivered == 2
    assert history(runs()[0].info.run_id) == [(1, 0.9), (2, 0.5)]


def test_a_run_that_was_made_twice_is_one_afterwards() -> None:
    with live.open("w1", FINGERPRINT) as training:
        training.point(1, loss=0.9, score=None)
        deliver()
    with client() as opened:
        tags = runs()[0].data.tags
        opened.create_run("1", run_name="w1", tags=tags)
    assert len(runs()) == 2
    deliver()
    (run,) = runs()
    assert history(run.info.run_id) == [(1, 0.9)]


@pytest.mark.parametrize("delivered_before", [True, False])
def test_a_training_that_was_killed_and_resumed_goes_on_in_the_same_run(delivered_before: bool) -> None:
    train(points=CURVE[:1], ends_by=SystemExit)
    if delivered_before:
        deliver()
        (killed,) = runs()
        assert killed.info.status == "KILLED"
        assert live.curves() == {}
    with live.open("w1", FINGERPRINT) as resumed:
        for step, loss, score in CURVE:  # it repeats the first point
            resumed.point(step, loss=loss, score=score)
        deliver()
        (run,) = runs()
        assert run.info.status == "RUNNING"
    deliver()
    (run,) = runs()
    assert (run.info.status, history(run.info.run_id)) == ("FINISHED", [(1, 0.9), (2, 0.5)])


def test_steps_that_were_told_anew_and_differently_replace_the_run() -> None:
    train(points=[(1, 0.9, None), (2, 0.7, None)], ends_by=SystemExit)
    deliver()
    train()
    deliver()
    (run,) = runs()
    assert history(run.info.run_id) == [(1, 0.9), (2, 0.5)]


def test_the_same_training_in_another_copy_of_the_project_is_another_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train()
    deliver()
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    train(points=[(1, 0.8, None)])
    deliver()
    assert sorted(len(history(run.info.run_id)) for run in runs()) == [1, 2]


def test_register_makes_the_live_run_the_models_own(project: Project) -> None:
    train()
    deliver()
    (before,) = runs()
    register.run(project.params)
    (run,) = runs()
    assert run.info.run_id == before.info.run_id
    assert (run.info.status, run.info.end_time) == ("FINISHED", before.info.end_time)
    assert history(run.info.run_id) == [(1, 0.9), (2, 0.5)]
    assert history(run.info.run_id, "training/score") == [(2, 0.8)]
    assert "bitladder.key" in run.data.tags
    assert live_runs.LIVE not in run.data.tags
    assert run.data.params["bits.weights"] == "1"
    assert run.data.metrics["eval/score"] == 0.94
    with client() as opened:
        assert opened.get_run(run.data.tags["mlflow.parentRunId"]).info.run_name.startswith("execution-")
        assert opened.get_run(run.info.run_id).outputs.model_outputs
    assert commands.lineage("w1a8", as_json=True) == 0


def test_register_delivers_what_is_spooled_and_adds_what_was_lost(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in LADDER:
        train(name, points=CURVE[:1])  # the disk was full at the second point
    register.run(project.params)
    assert "6 runs new, 0 unchanged" in capsys.readouterr().out
    for name in LADDER:
        (run,) = runs(name)
        assert history(run.info.run_id) == [(1, 0.9), (2, 0.5)]
    assert live.curves() == {}
    register.run(project.params)
    assert "0 runs new, 6 unchanged" in capsys.readouterr().out


def test_register_completes_an_adoption_that_was_cut_short(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    train()

    def breaks(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for module, step in ((publish, "_describe_model"), (publish, "logged_models"), (publish, "_finish")):
        with monkeypatch.context() as patch:
            patch.setattr(module, step, breaks)
            with pytest.raises(KeyboardInterrupt):
                register.run(project.params)
    register.run(project.params)
    (run,) = runs()
    assert (run.info.status, live_runs.LIVE in run.data.tags) == ("FINISHED", False)
    assert run.info.end_time > run.info.start_time - 1
    assert history(run.info.run_id) == [(1, 0.9), (2, 0.5)]


def test_a_training_repeated_after_register_leaves_no_second_curve(project: Project) -> None:
    register.run(project.params)
    (own,) = runs()
    train()
    deliver()
    assert len(runs()) == 2
    train()
    register.run(project.params)
    assert [run.info.run_id for run in runs()] == [own.info.run_id]


def test_a_curve_that_is_not_the_models_is_left_as_it_is(project: Project) -> None:
    train(points=[(1, 0.95, None)], ends_by=SystemExit, fingerprint="f" * 64)
    register.run(project.params)
    curves = {run.info.status: history(run.info.run_id) for run in runs()}
    assert curves == {"KILLED": [(1, 0.95)], "FINISHED": [(1, 0.9), (2, 0.5)]}


def test_sync_says_what_it_delivered_and_the_second_time_that_there_is_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train()
    train("w8", ends_by=SystemExit, points=CURVE[:1])
    assert commands.sync(as_json=False) == 0
    *lines, where = capsys.readouterr().out.splitlines()
    assert lines == [
        "w1 (demo, finished): 2 points delivered, 0 already there",
        "w8 (demo, killed): 1 points delivered, 0 already there",
    ]
    assert where.startswith("In MLflow at sqlite:///")
    assert commands.sync(as_json=False) == 0
    assert capsys.readouterr().out == "Nothing is spooled.\n"


def test_sync_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    assert commands.sync(as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["delivered"] == 2
    assert [(one["name"], one["status"]) for one in shown["curves"]] == [("w1", "FINISHED")]
    assert commands.sync(as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["delivered"] == 0


def test_sync_with_a_server_that_is_gone_keeps_the_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    train()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(store.StoreUnreachableError) as failed:
        commands.sync(as_json=False)
    assert failed.value.exit_code == 3
    assert len(live.curves()) == 1


def test_sync_says_so_when_another_process_keeps_delivering(monkeypatch: pytest.MonkeyPatch) -> None:
    train()
    real = store.locked
    monkeypatch.setattr(store, "locked", lambda path: real(path, 0.1))
    with real(live.HOME / "lock"), pytest.raises(store.StoreBusyError) as failed:
        commands.sync(as_json=False)
    assert failed.value.exit_code == 75
    assert len(live.curves()) == 1


@pytest.mark.usefixtures("one_refused")
def test_a_curve_that_mlflow_refuses_is_said_and_the_others_are_delivered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert commands.sync(as_json=False) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("w8 (demo, finished): 2 points delivered")
    assert shown.err.count("not delivered: ") == 1
    assert len(live.curves()) == 1
    assert commands.sync(as_json=False) == 1
    assert "Nothing is spooled" not in capsys.readouterr().out


@pytest.mark.usefixtures("one_refused")
def test_a_curve_that_mlflow_refuses_does_not_keep_the_models_from_it(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    register.run(project.params)
    assert caplog.text.count("not delivered: ") == 1
    (run,) = runs("w1")
    assert history(run.info.run_id) == [(1, 0.9), (2, 0.5)]
