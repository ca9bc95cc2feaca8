"""`bitladder export DIR --onnx OUT`: a folder for stock ONNX Runtime, or nothing and a reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from packed_models import Make, inputs, made_folder

from bitladder import cli, files, predict
from bitladder.exporting import checked, command
from bitladder.exporting.bert import INPUTS
from bitladder.quantizers.precision import Precision

__all__ = ["made_folder"]  # a fixture
W1A8 = Precision(1, 1, 8)
OUTPUTS: dict[str, dict[str, list[Any]]] = {
    "classification": {"logits": ["batch", 3]},
    "multi_label": {"logits": ["batch", 3]},
    "reranking": {"logits": ["batch", 1]},
    "embeddings": {"sentence_embedding": ["batch", 64]},
    "token_classification": {"logits": ["batch", "tokens", 3]},
    "question_answering": {"start_logits": ["batch", "tokens"], "end_logits": ["batch", "tokens"]},
}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr("sys.argv", ["bitladder", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_kind_of_task_is_exported_and_says_what_ours_says(
    made: Make, tmp_path: Path, kind: str
) -> None:
    folder, out = made(W1A8, kind=kind), tmp_path / "out"
    assert command.main(folder, out) == 0
    files.verify(out)
    ready = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    assert {one.name: one.shape for one in ready.get_outputs()} == OUTPUTS[kind]
    assert [one.name for one in ready.get_inputs()] == list(INPUTS)
    found = checked.compare(ready, predict.load(folder), [inputs()])
    assert found.holds, found
    assert found.largest_logit > 0.1
    assert files.read_json(out / "config.json")["model_type"] == "bert"
    assert (out / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_scales_of_8_bits_are_exported_as_what_they_stand_for(made: Make, tmp_path: Path) -> None:
    folder, out = made(Precision(1, 1, 32, scale_bits=8)), tmp_path / "out"
    assert command.main(folder, out) == 0
    ready = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    assert checked.compare(ready, predict.load(folder), [inputs()]).holds


@pytest.mark.parametrize("int8", [False, True])
def test_bits_stand_in_the_file_as_in_ours_and_are_unpacked_once(
    made: Make, tmp_path: Path, int8: bool
) -> None:
    folder, out = made(Precision(1, 1, 4), hidden_size=256, intermediate_size=512), tmp_path / "out"
    command.main(folder, out, int8=int8)
    graph = onnx.load(out / "model.onnx").graph
    held = sum(len(one.raw_data) for one in graph.initializer)
    tables = 256 * (8 * 4 + 8)  # what a byte stands for
    assert held < (folder / "model.safetensors").stat().st_size + tables
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(out / "model.onnx", options, providers=["CPUExecutionProvider"])
    loaded = onnx.load(tmp_path / "loaded.onnx").graph
    constants = {one.name: numpy_helper.to_array(one) for one in loaded.initializer}
    op = "MatMulIntegerToFloat" if int8 else "MatMulNBits"
    products = [node for node in loaded.node if node.op_type == op]
    assert len(products) == 2 * 6 + 1
    for node in products:
        weight = constants[node.input[1]]
        assert weight.dtype == (np.int8 if int8 else np.uint8)
        bits = {one.name: one.i for one in node.attribute}
        assert int8 or (bits["bits"], bits["accuracy_level"]) == (2, 4)


def test_rows_of_a_file_are_compared_and_told_as_json(
    made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.txt").write_text("the dog sees a cat .\nthe bird hears\n")
    arguments = (made(W1A8), "--onnx", tmp_path / "out", "--file", tmp_path / "rows.txt", "--int8", "--json")
    assert run(monkeypatch, *arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["agreement"]["rows"] == 2
    assert (said["form"], said["file"]) == ("int8", str(tmp_path / "rows.txt"))
    assert said["model_onnx_bytes"] == (tmp_path / "out" / "model.onnx").stat().st_size


@pytest.mark.parametrize(
    ("precision", "options", "told"),
    [
        (Precision(1, 1, 8, "group", group_size=16), (), "granularity: 'group'; row and matrix"),
        (Precision(8, 8, 8), ("--int8",), "weights: 8 bits with --int8"),
        (Precision(1, 1, 32), ("--int8",), "activations: 32 bits with --int8"),
        (W1A8, ("--file", "nowhere.csv"), "--file: nowhere.csv: No such file"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_written(
    made: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    precision: Precision,
    options: tuple[str, ...],
    told: str,
) -> None:
    assert run(monkeypatch, made(precision), "--onnx", tmp_path / "out", *options) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone_and_an_earlier_export_replaced(
    made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(W1A8)
    assert run(monkeypatch, folder, "--onnx", folder) == 2
    assert "is no earlier export" in capsys.readouterr().err
    files.verify(folder)
    assert [run(monkeypatch, folder, "--onnx", tmp_path / "out") for _ in range(2)] == [0, 0]


def test_a_graph_that_says_something_else_is_not_written(
    made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = checked.answers
    monkeypatch.setattr(checked, "answers", lambda *asked: own(*asked) + np.float32(0.5))
    assert run(monkeypatch, made(W1A8), "--onnx", tmp_path / "out") == 1
    assert "not written: logits differ from ours by 0.5" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_product_without_a_kernel_is_told(
    made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = {"MatMulNBits": 8.0, "MatMul": 2.0}
    monkeypatch.setattr(checked, "_seconds", lambda model: seconds[model.graph.node[0].op_type])
    assert run(monkeypatch, made(W1A8), "--onnx", tmp_path / "out") == 0
    failed = capsys.readouterr().err.splitlines()
    assert len(failed) == 3
    assert all("slow on this processor: MatMulNBits" in line and ": 4 times" in line for line in failed)


def test_the_same_model_gives_the_same_bytes(made: Make, tmp_path: Path) -> None:
    folder = made(W1A8)
    for name in ("one", "two"):
        command.main(folder, tmp_path / name)
    one, two = ((tmp_path / name / "manifest.json").read_bytes() for name in ("one", "two"))
    assert one == two


def test_without_optimizations_it_computes_the_same(made: Make, tmp_path: Path) -> None:
    command.main(made(Precision(1, 1, 4)), tmp_path / "out")
    options, found = onnxruntime.SessionOptions(), list[Any]()
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        ready = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", options)
        found.append(checked.answers(ready, inputs()))
    assert np.median(np.abs(found[0] - found[1])) < 1e-6
