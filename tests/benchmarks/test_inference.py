"""The benchmark of inference counts right, asks right, and says which engines it left out. No claim about
time is made here: see docs/benchmarks.md."""

import json
from dataclasses import astuple
from pathlib import Path

import inference
import pytest
from engines import ENGINES, FLOATS, Engine
from hypothesis import given
from hypothesis import strategies as st
from inference import Cell, ratio
from interleaved import Middle, middle, started

SECONDS = st.floats(1e-4, 10)
ROUNDS = st.lists(st.tuples(SECONDS, SECONDS, SECONDS, st.floats(0.1, 50)), min_size=1, max_size=9)
# A worker that does what inference_worker.py does, with an engine that only adds up and talks too much.
FAKE = """
import inference_worker
import numpy as np
def load(engine, model, threads):
    def run(ids):
        print("a library says something")
        return np.stack([ids["attention_mask"].sum(axis=1), np.zeros(len(ids["input_ids"]))], axis=1)
    return run
inference_worker.load = load
inference_worker.main()
"""


def cell(*milliseconds: float) -> Cell:
    return Cell([[ms / 1000] for ms in milliseconds], resident_mib=100)


def test_quartiles_by_hand() -> None:
    assert middle([5, 1, 4, 2, 3]) == Middle(3, 2, 4)
    assert middle([7]) == Middle(7, 7, 7)
    assert astuple(cell(1, 2, 3).milliseconds) == pytest.approx((2, 1.5, 2.5))


@given(ROUNDS)
def test_what_slows_a_whole_round_changes_no_ratio(rounds: list[tuple[float, ...]]) -> None:
    own, rival = Cell([[a, b] for a, b, _, _ in rounds], 1), Cell([[c] for _, _, c, _ in rounds], 1)
    slowed_own = Cell([[a * load, b * load] for a, b, _, load in rounds], 1)
    slowed_rival = Cell([[c * load] for _, _, c, load in rounds], 1)
    assert astuple(ratio(slowed_own, slowed_rival)) == pytest.approx(astuple(ratio(own, rival)))


@given(ROUNDS)
def test_nobody_is_faster_than_itself(rounds: list[tuple[float, ...]]) -> None:
    own = Cell([list(calls[:3]) for calls in rounds], 1)
    assert ratio(own, own) == Middle(1, 1, 1)


def test_a_worker_answers_a_line_with_a_line_whatever_its_library_prints() -> None:
    wanted = json.dumps({"engine": "fake", "model": "nowhere", "threads": 1})
    with started("fake", ["-c", FAKE, wanted], threads=1) as worker:
        worker.ask(rows=2, tokens=5, repeats=3)
        first = worker.answer()
        worker.ask(rows=1, tokens=7, repeats=1)
        second = worker.answer()
    assert (first["logits"], second["logits"]) == ([5, 0], [7, 0])
    assert (len(first["cpu_seconds"]), len(first["wall_seconds"])) == (3, 3)
    assert first["resident_mib"] > 1


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache in which two engines have their files; workers are fake, and that of `dying` dies."""
    for name, bits in (("fast", (1, 8)), ("slow", None), ("dying", None)):
        monkeypatch.setitem(ENGINES, name, Engine(name, (), name, ("weights",), bits))
        (tmp_path / "mini" / name).mkdir(parents=True)
        (tmp_path / "mini" / name / "weights").write_bytes(b"1234")
    dying = 'import sys\nif "dying" in sys.argv[1]: raise SystemExit("no such instruction")\n'
    (tmp_path / "fake_worker.py").write_text(dying + FAKE)
    monkeypatch.setattr(inference, "CACHE", tmp_path)
    monkeypatch.setattr(inference, "WORKER", tmp_path / "fake_worker.py")
    return tmp_path


def test_a_run_gives_every_promised_figure_and_leaves_out_who_dies(bench: Path, said: list[str]) -> None:
    chosen = [ENGINES[name] for name in ("fast", "slow", "dying")]
    found = inference.measure("mini", [(1, 4), (300, 4)], chosen, 1, 2, 1, said.append)
    assert found.left_out == {"dying": "no such instruction"}
    assert said == ["dying: left out: no such instruction"]
    document = json.loads(json.dumps(inference.as_dict(found)))
    assert list(document["engines"]) == ["fast", "slow"]
    fast = document["engines"]["fast"]
    assert fast["file_bytes"] == 4
    assert [len(calls) for calls in fast["shapes"]["1x4"]["seconds_of_rounds"]] == [3, 3]
    assert [len(calls) for calls in fast["shapes"]["300x4"]["seconds_of_rounds"]] == [1, 1]
    assert fast["first_answer_seconds"]["median"] > 0
    pairs = [(one["engine"], one["rival"], one["shape"]) for one in document["ratios"]]
    assert pairs == [("fast", "slow", "1x4"), ("fast", "slow", "300x4")]
    text = inference.as_text(found)
    assert "| fast | 300x4 |" in text
    assert "mini, 1 thread, CPU time" in text


def test_an_engine_that_is_not_installed_is_left_out_with_a_word(said: list[str]) -> None:
    absent = Engine("absent", ("json", "no_such_module"), "absent")
    found = inference.measure("mini", [(1, 4)], [absent], 1, 1, 0, said.append)
    assert found.engines == {}
    assert found.left_out == {"absent": "no_such_module not installed"}
    assert said == ["absent: left out: no_such_module not installed"]


def test_a_file_that_cannot_be_made_leaves_its_engine_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]
) -> None:
    monkeypatch.setattr(inference, "CACHE", tmp_path)
    unknown = Engine("unknown", (), "unknown")
    found = inference.measure("mini", [(1, 4)], [unknown], 1, 1, 0, said.append)
    assert found.left_out == {"unknown": "KeyError: 'unknown'"}


def test_starts_for_first_answers_can_be_left_out(bench: Path, said: list[str]) -> None:
    assert inference.number("0", least=0) == 0
    found = inference.measure("mini", [(1, 4)], [ENGINES["fast"]], 1, 1, 0, said.append)
    assert found.engines["fast"].first_answer_seconds.median > 0, "the worker's own"


def test_engines_are_held_to_instructions_or_left_out(
    bench: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "onnxruntime-other", Engine("onnxruntime-other", (), "other"))
    chosen = [ENGINES["fast"], ENGINES["onnxruntime-other"]]
    found = inference.measure("mini", [(1, 4)], chosen, 1, 1, 0, said.append, "avx2")
    assert found.left_out == {"onnxruntime-other": "cannot be held to avx2"}
    assert ", all held to avx2\n" in inference.as_text(found)


@pytest.mark.parametrize("wrong", ["1x", "0x16", "1x513", "16", "1x16x2", "-1x16"])
def test_a_shape_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(Exception, match="is not ROWSxTOKENS"):
        inference.shapes_of(wrong)


@pytest.mark.parametrize("wrong", ["--rounds=0", "--threads=0", "--starts=-1", "--rounds=x"])
def test_a_number_that_is_none_is_refused_before_anything_is_made(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["inference.py", wrong])
    with pytest.raises(SystemExit, match="2"):
        inference.main()
    assert "is no whole number from" in capsys.readouterr().err


def test_choices_are_lists_with_commas() -> None:
    assert inference.shapes_of("1x16,32x128") == [(1, 16), (32, 128)]
    assert [engine.name for engine in inference.engines_of("w1a1,torch-fp32")] == ["w1a1", "torch-fp32"]
    with pytest.raises(Exception, match="no engine"):
        inference.engines_of("w1a2")


def test_what_a_library_keeps_in_memory_only_is_counted_from_the_floats(tmp_path: Path) -> None:
    import torch
    from random_berts import build, save
    from shapes import Shape

    (tmp_path / FLOATS).mkdir()
    model = build(Shape(32, 1, 64, num_attention_heads=2, vocab_size=99, max_position_embeddings=40))
    save(tmp_path / FLOATS, model)
    sizes = [parameter.numel() for parameter in model.parameters()]
    linear = sum(one.weight.numel() for one in model.modules() if isinstance(one, torch.nn.Linear))
    assert ENGINES["torch-bf16"].file_bytes(tmp_path) == 2 * sum(sizes)
    assert ENGINES["torch-int8"].file_bytes(tmp_path) == linear + 4 * (sum(sizes) - linear)
