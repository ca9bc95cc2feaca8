"""The engine is what the processor can run, or what BITLADDER_ENGINE asks for, and `doctor` says which."""

import json
import os
from importlib import metadata
from unittest import mock

import pytest

from bitladder.runtime import doctor
from bitladder.runtime.kernels import engines
from bitladder.runtime.kernels.engines import DOT_PRODUCTS, LOOKUP, TORCH, EngineError, chosen

ALL = {"avx512bw": True, "avx512vnni": True}


@pytest.mark.parametrize(
    ("found", "engine", "why"),
    [
        (ALL, LOOKUP, "fastest"),
        ({"avx512bw": True, "avx512vnni": False}, TORCH, "avx512vnni, which this processor does not have"),
        ({"avx2": True}, TORCH, "avx512bw and avx512vnni"),
        ({}, TORCH, "avx512bw and avx512vnni"),
        (None, TORCH, "numba, which is not installed"),
    ],
)
def test_the_best_engine_that_runs_here_is_taken(
    found: dict[str, bool] | None, engine: str, why: str
) -> None:
    choice = chosen("", found)
    assert choice.engine == engine
    assert why in choice.reason


@pytest.mark.parametrize("engine", [LOOKUP, DOT_PRODUCTS, TORCH])
def test_an_engine_can_be_forced(engine: str) -> None:
    choice = chosen(engine, ALL)
    assert (choice.engine, choice.reason) == (engine, "BITLADDER_ENGINE asks for it")


def test_torch_can_be_forced_where_nothing_else_runs() -> None:
    assert chosen(TORCH, None).engine == TORCH


@pytest.mark.parametrize(
    ("forced", "found", "why"),
    [
        ("fast", ALL, "'fast' is no engine; known: lookup, dot_products, torch"),
        (LOOKUP, {"avx512bw": True}, "lookup needs avx512vnni"),
        (DOT_PRODUCTS, None, "numba, which is not installed"),
    ],
)
def test_an_engine_that_there_is_not_is_wrong_usage(
    forced: str, found: dict[str, bool] | None, why: str
) -> None:
    with pytest.raises(EngineError, match=why) as caught:
        chosen(forced, found)
    assert caught.value.exit_code == 2


def test_the_environment_is_asked() -> None:
    assert engines.choose({engines.VARIABLE: TORCH}).engine == TORCH
    with pytest.raises(EngineError):
        engines.choose({engines.VARIABLE: "nothing"})


@pytest.mark.parametrize(("version", "is_known"), [("0.67.9", False), ("0.68.0rc1", True), ("1.0", True)])
def test_a_numba_that_is_too_old_counts_as_none(
    version: str, is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(metadata, "version", lambda name: version)
    assert (engines.features() is not None) == is_known


def test_doctor_says_engine_and_versions(capsys: pytest.CaptureFixture[str]) -> None:
    with mock.patch.dict(os.environ, {engines.VARIABLE: TORCH}):
        assert doctor.main(as_json=True) == 0
        found = json.loads(capsys.readouterr().out)
        assert doctor.main(as_json=False) == 0
    assert (found["engine"], found["forced"]) == (TORCH, TORCH)
    assert found["versions"].keys() == set(doctor.PACKAGES)
    assert found["threads"] >= 1
    shown = capsys.readouterr().out
    assert "engine     torch: BITLADDER_ENGINE asks for it" in shown
    assert f"torch {found['versions']['torch']}" in shown


def test_doctor_says_what_is_not_known_and_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(engines.VARIABLE, raising=False)
    monkeypatch.setattr(engines, "features", lambda: None)
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    found = doctor.findings()
    assert set(found["features"].values()) == {None}
    assert found["cache"] is None
    assert found["reason"].endswith("; torch and transformers not installed (pip install 'bitladder[train]')")
    doctor.main(as_json=False)
    shown = capsys.readouterr().out
    assert "processor  not known without numba\n" in shown
    assert "cache      none: engine torch has no kernels\n" in shown
