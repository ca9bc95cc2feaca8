"""The rounds of the process that delivers: MLflow is asked only about what is new; nothing is forgotten."""

from pathlib import Path

import pytest
from ladder_on_disk import Project

from pipeline.tracking import deliver, spool, store
from pipeline.tracking.spool import Stamp
from pipeline.training import live

NOWHERE = store.Store("http://someone:secret@127.0.0.1:1")


@pytest.fixture(autouse=True)
def _spooled(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    monkeypatch.setenv(live.SPOOL, str(project.root / spool.folder("demo")))


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
