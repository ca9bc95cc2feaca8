"""Speeds: measured in turns, kept by the weights and the processor they are of, and never in the way."""

from pathlib import Path
from typing import Any

import pytest
import tiny_project

from pipeline import paths
from pipeline.reporting import speed
from pipeline.reporting.speed import Milliseconds, Speed, Speeds
from pipeline.stages import pack

DIGESTS = {"teacher": "a", "w1": "b"}
pytestmark = pytest.mark.whole_report


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def measured(**changes: Any) -> Speeds:
    models = {
        name: Speed(digest=digest, engine="torch", milliseconds=Milliseconds(median=ms, low=ms, high=ms))
        for (name, digest), ms in zip(DIGESTS.items(), (3.0, 1.5), strict=True)
    }
    known: dict[str, Any] = {"threads": 1, "rounds": 9, "texts": 4, "tokens": 7.0, "models": models}
    return Speeds(**{"processor": speed.processor(), **known, **changes})


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have `measure` take no time; what is returned grows each time it is asked."""
    asked: list[int] = []

    def measure(*_: Any) -> Speeds:
        asked.append(1)
        return measured()

    monkeypatch.setattr(speed, "measure", measure)
    return asked


def test_what_was_measured_is_kept_until_a_model_or_the_processor_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, task = counting(monkeypatch), Any
    assert speed.of_now(task, DIGESTS) == speed.of_now(task, DIGESTS) == measured()
    assert len(asked) == 1
    speed.of_now(task, {**DIGESTS, "w1": "c"})
    assert len(asked) == 2
    monkeypatch.setattr(speed, "processor", lambda: "another")
    speed.of_now(task, DIGESTS)
    assert len(asked) == 3


def test_again_measures_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counting(monkeypatch)
    for _ in range(2):
        speed.of_now(Any, DIGESTS, again=True)
    assert len(asked) == 2


def test_a_model_that_cannot_be_timed_is_said_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> Speeds:
        raise RuntimeError("no such engine")

    monkeypatch.setattr(speed, "measure", fails)
    assert speed.of_now(Any, DIGESTS) is None
    assert "speeds were not measured: no such engine" in "".join(capsys.readouterr())


def test_a_file_of_another_make_is_no_measurement() -> None:
    speed.SPEED.parent.mkdir()
    for text in ("[]", "{", '{"processor": "x"}'):
        speed.SPEED.write_text(text)
        assert speed.read() is None


def test_times_as_fast_is_the_teachers_time_over_its_own() -> None:
    assert measured().times_as_fast("w1") == 2.0
    assert measured().times_as_fast("w2") is None


@pytest.mark.slow
def test_every_model_is_timed_by_what_would_run_it() -> None:
    found = tiny_project.make().model_copy(update={"deliver": ["w1", "w1a8"]})
    for rung in found.deliver:
        pack.run(found, rung)
    digests = dict.fromkeys(("teacher", *found.deliver), "0" * 64)
    own = speed.of_now(found.task, digests)
    assert own is not None
    assert own == speed.read()
    assert set(own.models) == set(digests)
    assert own.models["teacher"].engine == own.models["w1"].engine == "torch"
    assert 1 <= own.texts <= speed.TEXTS
    for one in own.models.values():
        assert 0 < one.milliseconds.low <= one.milliseconds.median <= one.milliseconds.high
    assert paths.WORK in speed.SPEED.parents
