"""The rungs of ternary weight splitting, trained: cut out of the teacher, split, carried on, each told so in
its record."""

from contextlib import chdir
from functools import partial
from pathlib import Path

import ladder_project
import pytest
import torch

from bitladder.modeling import checkpoint
from bitladder.modeling.bert import HEADS_KEY
from bitladder.quantizers.precision import Precision
from bitladder.quantizers.weight import quantize_weight
from bitladder.transformers_model import model as packed_model
from pipeline import paths, record
from pipeline.initialization.weight_splitting import split_weight
from pipeline.params import Params
from pipeline.params_file import load
from pipeline.training import rows as task_rows
from pipeline.training.student import shaped, start

QUERY = "bert.encoder.layer.1.attention.self.query"
TABLE = "bert.embeddings.word_embeddings"


@pytest.fixture(scope="module")
def climbed_by_splitting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("splitting")
    with chdir(root):
        params = ladder_project.make("cola", ladder=["ladder=binarybert"])
        ladder_project.climb(params, "w2_half", "w1_split", "w1a8_split")
    return root


@pytest.fixture
def project(climbed_by_splitting: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(climbed_by_splitting)
    return load(Path("params.yaml"))


def test_a_rung_of_half_the_width_has_half_of_the_heads_and_neurons(project: Params) -> None:
    state = checkpoint.load_state(paths.model_dir("w2_half"))
    teacher = checkpoint.load_state(paths.model_dir("teacher"))
    assert state[f"{QUERY}.weight"].shape == (8, 16)
    assert teacher[f"{QUERY}.weight"].shape == (16, 16)
    heads = getattr(checkpoint.load_config(paths.model_dir("w2_half")), HEADS_KEY)
    assert [len(of_layer) for of_layer in heads] == [1, 1]
    assert getattr(checkpoint.load_config(paths.model_dir("w1a8_split")), HEADS_KEY) == heads


def test_the_split_begins_with_the_sum_of_the_ternary_parent(project: Params) -> None:
    rung = project.rungs["w1_split"]
    student = start(project, rung, task_rows.load(project.task, "plain", paths.model_dir("teacher")))
    parent = checkpoint.load_state(paths.model_dir("w2_half"))
    for layer in (QUERY, TABLE):
        first, second = (student.first[f"{layer}.{half}.weight"] for half in ("first", "second"))
        assert torch.equal(first, split_weight(parent[f"{layer}.weight"], "row", scale_bits=8)[0])
        values = partial(quantize_weight, granularity="row", scale_bits=8)
        both = values(first, 1).values_OI + values(second, 1).values_OI
        assert torch.equal(both, values(parent[f"{layer}.weight"], 2).values_OI)


def test_records_say_what_was_done_to_fit_the_parent(project: Params) -> None:
    told = {}
    for name in ("w2_half", "w1_split", "w1a8_split"):
        (told[name],) = set(record.origins(record.read(paths.model_dir(name)).init).values())
    assert told["w2_half"].model == "teacher"
    assert told["w2_half"].through == "1 of 2 heads and 16 of 32 neurons by importance"
    assert (told["w1_split"].model, told["w1_split"].through) == ("w2_half", "ternary weight splitting")
    assert (told["w1a8_split"].model, told["w1a8_split"].through) == ("w1_split", None)
    own = record.read(paths.model_dir("w1a8_split"))
    assert (own.precision, own.settings["width"]) == (Precision(1, 1, 8, split=True, scale_bits=8), 0.5)
    assert {f"{QUERY}.first.weight", f"{TABLE}.second.weight"} <= set(own.sign_flips)


def test_the_same_rows_choose_the_same_heads(project: Params) -> None:
    data = task_rows.load(project.task, "plain", paths.model_dir("teacher"))
    rows = data.train.batch(list(range(20)))
    config = checkpoint.load_config(paths.model_dir("teacher"))
    first, again = (shaped(project.rungs["w2_half"], rows, config, loss="cross_entropy") for _ in range(2))
    assert all(torch.equal(tensor, again.state[name]) for name, tensor in first.state.items())


def test_a_trained_split_rung_is_packed_and_loads(project: Params, tmp_path: Path) -> None:
    from bitladder.packed.writing import pack

    pack(paths.model_dir("w1a8_split"), tmp_path)
    packed = packed_model.load_unpublished(tmp_path)
    trained = checkpoint.load_bert(paths.model_dir("w1a8_split"))
    rows = task_rows.load(project.task, "plain", paths.model_dir("teacher")).selection.encoded.batch(
        [0, 1, 2]
    )
    inputs = {name: tensor for name, tensor in rows.items() if name != "labels"}
    with torch.no_grad():
        assert torch.equal(packed(**inputs).logits, trained(**inputs).logits)
