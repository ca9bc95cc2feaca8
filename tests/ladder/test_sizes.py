"""Sizes known before anything is trained, against figures worked out by hand and against a real model."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import tiny_model

from bitladder.modeling.bert import WIDTH_KEY, build_bert
from bitladder.packed.size import MIB
from bitladder.quantizers.precision import Precision
from pipeline.ladder import sizes as ladder_sizes
from pipeline.ladder.sizes import Shape, full_bytes, packed_bytes, shape_of
from pipeline.params import Model
from pipeline.params_file import load

ROOT = Path(__file__).parents[2]
DEFAULT = load(ROOT / "params.yaml")
BERT_BASE = Shape(
    vocab_size=30522,
    hidden_size=768,
    num_hidden_layers=12,
    intermediate_size=3072,
    max_position_embeddings=512,
)
RUNGS = DEFAULT.rungs


def test_bert_base_in_full_precision_has_its_known_size() -> None:
    assert full_bytes(BERT_BASE, num_labels=0) == 4 * 109_482_240


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("width", [1.0, 0.5])
def test_full_bytes_are_those_of_a_real_models_parameters(width: float, split: bool) -> None:
    config = tiny_model.config(num_labels=3, intermediate_size=44)
    setattr(config, WIDTH_KEY, width)
    real = build_bert(config, Precision(1, 1, split=split))
    shape = Shape(**{field.name: getattr(config, field.name) for field in fields(Shape)[:-1]})
    rung = RUNGS["w1"].model_copy(update={"width": width, "split": split})
    expected = full_bytes(shape, rung, num_labels=3)
    assert expected == 4 * sum(parameter.numel() for parameter in real.parameters())


def test_bert_base_at_one_bit_is_31_times_smaller() -> None:
    """13.38 MiB: 13.04 of codes, the rest scales of 8 bits, biases and LayerNorms in half precision."""
    size = packed_bytes(BERT_BASE, RUNGS["w1"], num_labels=2)
    assert size / MIB == pytest.approx(13.38, abs=0.01)
    assert full_bytes(BERT_BASE, num_labels=2) / size == pytest.approx(31.21, abs=0.02)


def test_fewer_bits_are_smaller_and_activations_cost_next_to_nothing() -> None:
    sizes = [packed_bytes(BERT_BASE, RUNGS[name], num_labels=2) for name in ("w8", "w4", "w2", "w1")]
    assert sizes == sorted(sizes, reverse=True)
    assert packed_bytes(BERT_BASE, RUNGS["w1a8"], num_labels=2) == sizes[-1]
    assert sizes[-1] < packed_bytes(BERT_BASE, RUNGS["w1a1"], num_labels=2) < 1.02 * sizes[-1]


def test_one_scale_per_matrix_saves_the_rows_scales() -> None:
    def sized(granularity: str) -> int:
        rung = RUNGS["w1"].model_copy(update={"granularity": granularity})
        return packed_bytes(BERT_BASE, rung, num_labels=2)

    rows = 30522 + 512 + 2 + 12 * (4 * 768 + 3072 + 768) + 768
    matrices = 3 + 12 * 6 + 1
    assert sized("row") - sized("matrix") == rows - 2 * matrices


def test_scales_of_8_bits_save_a_byte_for_each_row() -> None:
    """Counted by hand: 31,036 rows of tables, 83,712 outputs of linear layers."""
    half, eight = (
        packed_bytes(BERT_BASE, RUNGS["w1"].model_copy(update={"scale_bits": bits}), num_labels=2)
        for bits in (16, 8)
    )
    assert half - eight == 31_036 + 83_712
    assert full_bytes(BERT_BASE, num_labels=2) / eight == pytest.approx(31.21, abs=0.01)


def test_groups_add_a_scale_for_every_64_weights() -> None:
    grouped = RUNGS["w1"].model_copy(update={"granularity": "group", "group_size": 64})
    weights = (30522 + 512 + 2) * 768 + 12 * (4 * 768**2 + 2 * 768 * 3072) + 768**2
    rows = 30522 + 512 + 2 + 12 * (4 * 768 + 3072 + 768) + 768
    more = packed_bytes(BERT_BASE, grouped, num_labels=2) - packed_bytes(BERT_BASE, RUNGS["w1"], num_labels=2)
    assert more == 2 * weights // 64 - rows


def test_a_quantizer_that_keeps_a_number_of_each_weight_doubles_tables_and_matrices() -> None:
    bare = (30522 + 512 + 2) * 768 + 12 * (4 * 768**2 + 2 * 768 * 3072) + 768**2
    rung = RUNGS["w1"].model_copy(update={"weight_quantizer": "lat"})
    assert full_bytes(BERT_BASE, rung, num_labels=2) - full_bytes(BERT_BASE, num_labels=2) == 4 * bare


def test_bert_base_by_ternary_weight_splitting_has_a_second_word_table_and_pooler() -> None:
    def sized(**changes: object) -> int:
        rung = RUNGS["w1"].model_copy(update=changes)
        return packed_bytes(BERT_BASE, rung, num_labels=2)

    # The two halves of the encoder are as large as the whole; scales and biases change by less than 5 %.
    tables = (30522 + 512 + 2 + 768) * 768 // 8
    assert sized(width=0.5, split=True) - sized() == pytest.approx(tables, rel=0.05)
    assert sized(width=0.5) < 0.7 * sized()


def model(source: str, location: str) -> Model:
    return Model.model_validate({"name": "mine", "source": source, "location": location})


def write_config(folder: Path, **changes: object) -> None:
    shape = {field: value for field, value in vars(BERT_BASE).items() if field != "type_vocab_size"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**shape, "model_type": "bert", **changes}))


def test_the_demos_shape_is_its_architecture() -> None:
    assert DEFAULT.model.architecture is not None
    shape = shape_of(DEFAULT)
    assert shape is not None
    assert shape.hidden_size == DEFAULT.model.architecture.hidden_size


def test_the_demos_vocabulary_is_about_what_it_generates() -> None:
    from pipeline.data.demo import generate
    from pipeline.params import Generator

    made = generate(Generator(train_rows=200, validation_rows=200, corpus_rows=3000), seed=0)
    words = {word for sentence in made.corpus for word in sentence.split()}
    special_and_letters = 5 + 2 * 26
    assert len(words) + special_and_letters == pytest.approx(ladder_sizes.DEMO_VOCABULARY, rel=0.25)


@pytest.mark.parametrize("place", ["", "model"])
def test_a_folders_config_gives_the_shape(tmp_path: Path, place: str) -> None:
    write_config(tmp_path / place)
    assert shape_of(DEFAULT.model_copy(update={"model": model("path", str(tmp_path))})) == BERT_BASE


def test_a_packages_config_gives_the_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path / "some_package" / "model")
    (tmp_path / "some_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert shape_of(DEFAULT.model_copy(update={"model": model("package", "some_package")})) == BERT_BASE


def test_a_fetched_model_is_read_only_when_it_is_the_one_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "models" / "pretrained")
    (tmp_path / "models/pretrained/record.json").write_text('{"settings": {"location": "a/b"}}')
    assert shape_of(DEFAULT.model_copy(update={"model": model("hub", "a/b")})) == BERT_BASE
    assert shape_of(DEFAULT.model_copy(update={"model": model("hub", "a/c")})) is None


@pytest.mark.parametrize(
    "change", [{"hidden_size": "768"}, {"hidden_size": -1}, {"vocab_size": 10**12}, {"hidden_size": True}]
)
def test_a_config_that_makes_no_sense_gives_no_shape(tmp_path: Path, change: dict[str, object]) -> None:
    write_config(tmp_path, **change)
    assert shape_of(DEFAULT.model_copy(update={"model": model("path", str(tmp_path))})) is None


@pytest.mark.parametrize("location", ["no_such_package", "no.such.package", "..", ""])
def test_a_package_that_is_not_there_gives_no_shape(location: str) -> None:
    assert shape_of(DEFAULT.model_copy(update={"model": model("package", location)})) is None
