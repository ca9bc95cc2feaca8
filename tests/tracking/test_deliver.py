"""The rounds of the process that delivers: MLflow is asked only about what is new; nothing is forgotten."""

from pathlib import Path
from typing import Any

import pytest
from ladder_on_disk import Project
from mlflow.exceptions import MlflowException
from requests import RequestException

from pipeline.tracking import deliver, live_runs, spool, store
from pipeline.tracking.spool import Stamp
from pipeline.training import live

NOWHERE = store.Store("http://someone:secret@127.0.0.1:1")


@pytest.fixture(autouse=True)
def _spooled(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    monkeypatch.setenv(live.SPOOL, str(project.root / spool.folder("demo")))
    deliver._say_once.cache_clear()


def test_nobody_is_asked_while_there_is_nothing_new() -> None:
    assert deliver._round(NOWHERE, {}) is None
    training = live.open("w1", "0" * 64)
    training.point(1, loss=0.5, score=None)
    delivered: dict[Path, Stamp] = {}
    assert deliver._round(store.locate(), delivered) is None
    assert deliver._round(NOWHERE, delivered) is None
    training.end("FINISHED")
    assert deliver._round(NOWHERE, delivered) is not None


def test_a_failed_round_is_told_without_the_password_and_repeated(caplog: pytest.LogCaptureFixture) -> None:
    live.open("w1", "0" * 64).end("FINISHED")
    delivered: dict[Path, Stamp] = {}
    assert isinstance(deliver._round(NOWHERE, delivered), store.StoreUnreachableError)
    assert "127.0.0.1:1" in caplog.text
    assert "secret" not in caplog.text
    assert delivered == {}
    assert deliver._round(store.locate(), delivered) is None
    assert len(spool.waiting()) == 1  # removing is for those who may wait for the training's next start


def test_the_death_of_a_training_is_something_new() -> None:
    training = live.open("w1", "0" * 64)
    delivered: dict[Path, Stamp] = {}
    assert deliver._round(store.locate(), delivered) is None
    training._close()
    assert deliver._round(NOWHERE, delivered) is not None


def test_a_curve_that_another_process_delivers_is_left_for_the_next_round() -> None:
    live.open("w1", "0" * 64).end("FINISHED")
    (path,) = spool.waiting()
    delivered: dict[Path, Stamp] = {}
    with store.locked(spool.lock(path)):
        assert isinstance(deliver._round(store.locate(), delivered), store.StoreBusyError)
    assert deliver._round(store.locate(), delivered) is None


def test_a_refusal_is_told_once_and_holds_no_other_curve_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("w1", "w8"):
        live.open(name, "0" * 64).end("FINISHED")
    first, second = spool.waiting()
    real = live_runs.deliver

    def refuse(client: Any, place: store.Store, curve: spool.Curve) -> live_runs.Delivery:
        if curve.path == first:
            client.get_run("no such run")
        return real(client, place, curve)

    delivered: dict[Path, Stamp] = {}
    with monkeypatch.context() as patch:
        patch.setattr(live_runs, "deliver", refuse)
        for _ in range(2):
            assert isinstance(deliver._round(store.locate(), delivered), MlflowException)
            assert list(delivered) == [second]
    assert caplog.text.count(f"{first}: MlflowException: ") == 1
    assert deliver._round(store.locate(), delivered) is None
    assert list(delivered) == [second, first]


def test_a_server_that_is_lost_ends_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("w1", "w8"):
        live.open(name, "0" * 64).end("FINISHED")
    asked: list[str] = []

    def lost(_client: Any, _place: store.Store, curve: spool.Curve) -> live_runs.Delivery:
        asked.append(curve.name)
        raise RequestException("gone")

    monkeypatch.setattr(live_runs, "deliver", lost)
    assert isinstance(deliver._round(store.locate(), {}), store.StoreUnreachableError)
    assert asked == ["w1"]
