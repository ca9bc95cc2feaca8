"""The engine is what the processor can run, or what BITLADDER_ENGINE asks for, and `doctor` says which."""

import json
import os
from importlib import metadata
from unittest import mock

import pytest

from bitladder.runtime import doctor
from bitladder.runtime.kernels import engines, isa
from bitladder.runtime.kernels.engines import ENGINES, NAMES, TORCH, EngineError, chosen, lacking

ALL = dict.fromkeys(ENGINES, "")


@pytest.mark.parametrize(
    ("engine", "found", "lacks"),
    [
        ("lookup", {"avx512bw": True, "avx512vnni": True}, ""),
        ("lookup", {"avx512bw": True, "avx512vnni": False}, "avx512vnni, which this processor does not have"),
        ("avx512_vnni", {"avx2": True}, "avx512bw and avx512vnni, which"),
        ("plain", {}, ""),
        ("plain", None, "numba, which is not installed"),
    ],
)
def test_an_engine_runs_where_there_is_all_that_it_needs(
    engine: str, found: dict[str, bool] | None, lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isa, "family", lambda: isa.X86)
    said = lacking(ENGINES[engine], found)
    assert said.startswith(lacks)
    assert bool(said) == bool(lacks)


def test_an_engine_of_another_kind_of_processor_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isa, "family", lambda: isa.ARM)
    assert lacking(ENGINES["avx2"], {"avx2": True}) == "another kind of processor (x86)"
    assert lacking(ENGINES["plain"], {}) == ""


@pytest.mark.parametrize(
    ("missing", "engine"),
    [
        ((), "amx"),
        (("amx",), "lookup"),
        (("amx", "lookup", "avx512_vnni", "avx_vnni"), "avx2"),
        (ENGINES, TORCH),
    ],
)
def test_the_likely_best_engine_that_runs_here_is_taken(missing: tuple[str, ...], engine: str) -> None:
    assert chosen("", ALL | dict.fromkeys(missing, "what there is not")).engine == engine


@pytest.mark.parametrize("engine", NAMES)
def test_an_engine_can_be_forced(engine: str) -> None:
    choice = chosen(engine, ALL)
    assert (choice.engine, choice.reason) == (engine, "BITLADDER_ENGINE asks for it")


@pytest.mark.parametrize(
    ("forced", "found", "why"),
    [
        ("fast", ALL, "'fast' is no engine; known: amx, lookup, avx512_vnni, avx_vnni, avx2, i8mm"),
        ("lookup", ALL | {"lookup": "avx512vnni"}, "lookup needs avx512vnni"),
    ],
)
def test_an_engine_that_there_is_not_is_wrong_usage(forced: str, found: dict[str, str], why: str) -> None:
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
    assert engines.has_compiler.__wrapped__() == is_known


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
