"""A packed folder gives the trained rung's logits, and is refused when it is not exactly what was packed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from packed_models import ANSWERING, republish, reseal
from safetensors.numpy import load_file
from tiny_rung import batch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import bitladder
from bitladder import files
from bitladder.modeling import checkpoint
from bitladder.packed import format, tensors
from bitladder.packed.tensors import FormatError
from bitladder.packed.writing import pack
from bitladder.quantizers.precision import Precision
from bitladder.transformers_model import model
from bitladder.transformers_model.layers import PackedLinear

bitladder.register()
FFN = "bert.encoder.layer.0.intermediate.dense"
Rung = Callable[..., Path]


@torch.no_grad()
def logits(loaded: Any) -> Tensor:
    found: Tensor = loaded(**batch()).logits
    return found


# Same operations on the same numbers in the same order: there is nothing to be tolerant about.
@pytest.mark.parametrize("weights", [8, 4, 2, 1])
@pytest.mark.parametrize("activations", [32, 8, 4, 1])
@pytest.mark.parametrize("granularity", ["row", "matrix"])
def test_logits_are_the_trained_rungs_bit_for_bit(
    trained: Rung, tmp_path: Path, weights: int, activations: int, granularity: Any
) -> None:
    source = trained(Precision(weights, weights, activations, granularity))
    with files.publish(tmp_path / "packed") as folder:
        pack(source, folder)
    assert torch.equal(logits(model.load(tmp_path / "packed")), logits(checkpoint.load_bert(source)))


@pytest.mark.parametrize("embeddings", [32, 8, 4])
def test_tables_may_have_a_width_of_their_own(trained: Rung, tmp_path: Path, embeddings: int) -> None:
    source = trained(Precision(1, embeddings, 8), vocab_size=130)
    with files.publish(tmp_path / "packed") as folder:
        pack(source, folder)
    assert torch.equal(logits(model.load(tmp_path / "packed")), logits(checkpoint.load_bert(source)))


def test_wide_rows_quantize_the_same_whole_or_looked_up(trained: Rung, tmp_path: Path) -> None:
    source = trained(Precision(1, 2, 32), hidden_size=384, intermediate_size=97, vocab_size=1000)
    with files.publish(tmp_path / "packed") as folder:
        pack(source, folder)
    assert torch.equal(logits(model.load(tmp_path / "packed")), logits(checkpoint.load_bert(source)))


def test_it_is_ready_for_inference_in_float32_and_keeps_its_bits(packed: Path) -> None:
    loaded = model.load(str(packed))
    assert not loaded.training
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    layer = loaded.get_submodule(FFN)
    assert isinstance(layer, PackedLinear)
    assert (layer.codes.dtype, layer.codes.shape) == (torch.uint8, (45, 4))


def test_auto_classes_and_the_pipeline_load_it(packed: Path) -> None:
    loaded = AutoModelForSequenceClassification.from_pretrained(packed)
    assert isinstance(loaded, model.PackedBertForSequenceClassification)
    assert torch.equal(logits(loaded), logits(model.load(packed)))
    tokenizer = AutoTokenizer.from_pretrained(packed)
    inputs = tokenizer("the big dog sleeps .", return_tensors="pt")
    [answer] = transformers.pipeline("text-classification", model=str(packed))("the big dog sleeps .")
    assert answer["score"] == pytest.approx(loaded(**inputs).logits.softmax(-1).max().item(), abs=1e-6)
    assert answer["label"] in ("wrong", "right")


def test_asking_for_half_precision_is_refused(packed: Path) -> None:
    with pytest.raises(ValueError, match="computes in float32"):
        AutoModelForSequenceClassification.from_pretrained(packed, dtype=torch.float16)


def test_asking_for_another_attention_is_refused(packed: Path) -> None:
    with pytest.raises(ValueError, match="attn_implementation"):
        AutoModelForSequenceClassification.from_pretrained(packed, attn_implementation="sdpa")


def test_weights_from_elsewhere_are_refused(packed: Path) -> None:
    with pytest.raises(ValueError, match="from its folder alone"):
        AutoModelForSequenceClassification.from_pretrained(packed, state_dict={})


@pytest.mark.parametrize("loader", [model.load, AutoModelForSequenceClassification.from_pretrained])
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_one_flipped_bit_is_refused(packed: Path, loader: Callable[[Path], Any], name: str) -> None:
    content = bytearray((packed / name).read_bytes())
    content[len(content) // 2] ^= 0b100
    (packed / name).write_bytes(bytes(content))
    with pytest.raises(files.IntegrityError, match=name):
        loader(packed)


@pytest.mark.parametrize("loader", [model.load, AutoModelForSequenceClassification.from_pretrained])
def test_another_config_than_the_manifests_is_refused(packed: Path, loader: Callable[[Path], Any]) -> None:
    (packed / "config.json").write_text((packed / "config.json").read_text().replace('"gelu"', '"relu"'))
    with pytest.raises(files.IntegrityError, match=r"config.json"):
        loader(packed)


@pytest.mark.parametrize("loader", [model.load, AutoModelForSequenceClassification.from_pretrained])
def test_a_missing_tensor_is_refused_by_name(packed: Path, loader: Callable[[Path], Any]) -> None:
    republish(packed, lambda state: state.pop(f"{FFN}.codes"))
    with pytest.raises(FormatError, match=f"missing .*{FFN}.codes"):
        loader(packed)


def test_a_left_over_tensor_is_refused_by_name(packed: Path) -> None:
    republish(packed, lambda state: state.update(extra=np.zeros(1, np.float32)))
    with pytest.raises(FormatError, match=r"unexpected .*extra"):
        model.load(packed)


def test_a_wrong_number_of_rows_is_refused_by_name(packed: Path) -> None:
    def cut(state: dict[str, NDArray[Any]]) -> None:
        state[f"{FFN}.codes"] = state[f"{FFN}.codes"][:-1]

    republish(packed, cut)
    with pytest.raises(FormatError, match=rf"{FFN}.codes U8\[44, 4\] instead of U8\[45, 4\]"):
        model.load(packed)


def test_a_wrong_dtype_is_refused_by_name(packed: Path) -> None:
    def widen(state: dict[str, NDArray[Any]]) -> None:
        state[f"{FFN}.scale"] = state[f"{FFN}.scale"].astype(np.float32)

    republish(packed, widen)
    with pytest.raises(FormatError, match=rf"{FFN}.scale F32\[45\] instead of F16\[45\]"):
        model.load(packed)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_scale_that_is_no_scale_is_refused_by_name(packed: Path, value: float) -> None:
    def spoil(state: dict[str, NDArray[Any]]) -> None:
        state[f"{FFN}.scale"][3] = value

    republish(packed, spoil)
    with pytest.raises(FormatError, match=f"{FFN}.scale: holds"):
        model.load(packed)


def test_a_layer_norm_that_is_not_finite_is_refused_by_name(packed: Path) -> None:
    def spoil(state: dict[str, NDArray[Any]]) -> None:
        state["bert.embeddings.LayerNorm.bias"][0] = float("nan")

    republish(packed, spoil)
    with pytest.raises(FormatError, match=r"embeddings.LayerNorm.bias: holds NaN"):
        model.load(packed)


def test_padding_bits_that_are_set_are_refused_by_name(packed: Path) -> None:
    name = "bert.encoder.layer.1.output.dense"  # 45 inputs: three bits of padding in each row

    def spoil(state: dict[str, NDArray[Any]]) -> None:
        state[f"{name}.codes"][7, -1] |= 0b1000_0000

    republish(packed, spoil)
    with pytest.raises(FormatError, match=f"{name}.codes: the byte .* occurs, which no 5 codes"):
        model.load(packed)


def test_a_code_that_no_ternary_weight_has_is_refused_by_name(trained: Rung, tmp_path: Path) -> None:
    with files.publish(tmp_path / "packed") as folder:
        pack(trained(Precision(2, 2, 32)), folder)

    def spoil(state: dict[str, NDArray[Any]]) -> None:
        state[f"{FFN}.codes"][0, 0] = 243

    republish(tmp_path / "packed", spoil)
    with pytest.raises(FormatError, match=f"{FFN}.codes: the byte 243"):
        model.load(tmp_path / "packed")


@pytest.mark.parametrize("version", ["1", "3", None])
def test_another_format_version_is_refused(packed: Path, version: str | None) -> None:
    metadata = {"format": "pt"} | ({} if version is None else {"bitladder_format": version})
    tensors.write(packed / "model.safetensors", load_file(packed / "model.safetensors"), metadata)
    reseal(packed)
    with pytest.raises(FormatError, match="bitladder_format"):
        model.load(packed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"auto_map": {"AutoModel": "evil.py"}}, "auto_map"),
        ({"trust_remote_code": True}, "trust_remote_code"),
        ({"_attn_implementation_internal": "sdpa"}, "_attn_implementation_internal"),
        ({"attn_implementation": "sdpa"}, "attn_implementation"),
        ({"quantization_config": {}}, "quantization_config"),
        ({"hidden_size": 10**9}, "hidden_size"),
        ({"hidden_size": 33}, "not a multiple of"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"num_hidden_layers": 3}, "missing .*layer.2"),
        ({"vocab_size": 16_000_000}, "word_embeddings.codes"),
        ({"vocab_size": "99"}, "vocab_size"),
        ({"hidden_act": "evil"}, "hidden_act"),
        ({"bitladder_format": 3}, "bitladder_format"),
        ({"bitladder_format": 1}, "bitladder_format is '2'; config.json says 1"),
        ({"bitladder_precision": {"weights": 3}}, "bitladder_precision.weights"),
        ({"id2label": {"1": "a", "2": "b"}}, "id2label"),
        ({"dtype": "float16"}, "dtype"),
    ],
)
def test_a_config_that_asks_for_more_or_other_is_refused_by_key(
    packed: Path, change: dict[str, Any], said: str
) -> None:
    values = {**files.read_json(packed / "config.json"), **change}
    files.write_json(packed / "config.json", values)
    reseal(packed)
    with pytest.raises(FormatError, match=said):
        model.load(packed)


@pytest.mark.parametrize("text", ['{"hidden_size": NaN}', '{"a": 1, "a": 1}', "[" * 50_000, "", "[]", "3"])
def test_a_config_that_is_no_json_mapping_is_refused(packed: Path, text: str) -> None:
    (packed / "config.json").write_text(text)
    reseal(packed)
    with pytest.raises(FormatError, match=r"config"):
        model.load(packed)


def test_a_folder_without_its_manifest_is_refused(packed: Path) -> None:
    (packed / files.MANIFEST).unlink()
    with pytest.raises(files.IntegrityError, match=files.MANIFEST):
        model.load(packed)


def test_many_labels_keep_their_order(packed: Path) -> None:
    values = files.read_json(packed / "config.json")
    names = {str(number): f"label {number}" for number in range(12)}
    format.parse_config({**values, "id2label": json.loads(json.dumps(names, sort_keys=True))}, source="here")


def test_stock_bert_refuses_the_folder_even_beside_our_package(packed: Path) -> None:
    with pytest.raises(ValueError, match="bitladder-packed"):
        transformers.BertForSequenceClassification.from_pretrained(packed)


@pytest.mark.slow  # a process of its own, without our package: some 8 s to import transformers
@pytest.mark.parametrize("name", ["AutoModelForSequenceClassification", "BertForSequenceClassification"])
def test_transformers_without_our_package_refuses_the_folder(packed: Path, name: str) -> None:
    code = f"import transformers; transformers.{name}.from_pretrained({str(packed)!r})"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=packed, env=environment, capture_output=True, text=True
    )
    assert ran.returncode != 0
    assert "bitladder" in ran.stderr.splitlines()[-1] + ran.stderr
    assert "ValueError" in ran.stderr


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bitladder_answering": None}, "bitladder_answering: needed by PackedBertForQuestionAnswering"),
        ({"architectures": [format.CLASSIFIER]}, "bitladder_answering: needed by"),
        ({"bitladder_answering": {**ANSWERING, "no_answer_threshold": None}}, "unanswerable"),
        ({"bitladder_answering": {**ANSWERING, "no_answer_threshold": float("nan")}}, "no_answer_threshold"),
        ({"bitladder_answering": {**ANSWERING, "unanswerable": False}}, "unanswerable"),
        ({"bitladder_answering": {**ANSWERING, "max_length": 13}}, "max_length 13 leaves no room"),
        ({"bitladder_answering": {**ANSWERING, "max_length": 99}}, "more than max_position_embeddings"),
        ({"bitladder_answering": {**ANSWERING, "more": 1}}, "more"),
        ({"id2label": {"0": "end", "1": "start"}}, "0 is start and 1 is end"),
    ],
)
def test_what_a_question_answering_models_config_says_fits_together(
    packed: Path, change: dict[str, Any], problem: str
) -> None:
    values = dict(files.read_json(packed / "config.json"))
    del values["problem_type"]
    names = {"id2label": {"0": "start", "1": "end"}, "label2id": {"start": 0, "end": 1}}
    right = {**values, **names, "architectures": [format.ANSWERER], "bitladder_answering": ANSWERING}
    format.parse_config(right, source="here")
    with pytest.raises(FormatError, match=problem):
        format.parse_config({**right, **change}, source="here")


@pytest.mark.parametrize("first", ["bitladder", "transformers"])
def test_transformers_knows_packed_folders_once_it_was_told(packed: Path, first: str) -> None:
    code = (
        f"import {first}; import bitladder, transformers\n"
        f"load = lambda: transformers.AutoModelForSequenceClassification.from_pretrained({str(packed)!r})\n"
        "try: load()\n"
        "except ValueError as error: print('bitladder-bert' in str(error))\n"
        "bitladder.register(); bitladder.register()\n"
        "print(type(load()).__name__)\n"
        f"pipe = transformers.pipeline('text-classification', model={str(packed)!r})\n"
        "print(pipe('the big dog')[0]['label'] in ('wrong', 'right'))\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "PackedBertForSequenceClassification", "True"], done.stderr
