"""Sizes are those of the written file; the papers' conventions give the papers' figures."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import BertConfig

from bitladder import files
from bitladder.modeling.bert import PRECISION_KEY, WIDTH_KEY
from bitladder.packed import format, schema, size
from bitladder.packed.tensors import FormatError
from bitladder.packed.writing import pack, packed_config
from bitladder.quantizers.precision import Precision

Rung = Callable[..., Path]


def bert_base(precision: Precision, *, width: float | None = None) -> size.Sizes:
    """A packed BERT-base as its file would be, without making one."""
    config = BertConfig()
    setattr(config, PRECISION_KEY, precision.as_dict())
    setattr(config, WIDTH_KEY, width)
    found = schema.tensors(packed_config(config)).values()
    return size.count(found, file_bytes=sum(stored.entry.num_bytes for stored in found))


def test_bert_base_at_one_bit_is_counted_as_papers_count_it() -> None:
    sizes = bert_base(Precision(1, 1, 32))
    assert sizes.all_tables.mib == pytest.approx(13.50, abs=0.005)
    assert sizes.all_tables.ratio == pytest.approx(30.9, abs=0.05)
    assert sizes.without_position_and_segment.mib == pytest.approx(13.46, abs=0.005)
    assert sizes.without_position_and_segment.ratio == pytest.approx(31.0, abs=0.05)


def test_bert_base_by_ternary_weight_splitting_is_counted_as_binarybert_is() -> None:
    """Two half-width binary matrices per layer, two word tables, two poolers; published: 16.5 MB."""
    sizes = bert_base(Precision(1, 1, 32, split=True), width=0.5)
    parts = {part.part: part for part in sizes.parts}
    assert parts["word table"].parameters == 2 * 30522 * 768
    assert (parts["encoder"].parameters, parts["pooler"].parameters) == (84_934_656, 2 * 589_824)
    assert sum(part.full_bytes for part in sizes.parts) == 4 * (109_482_240 + 2 * 768 + 2), "the whole BERT"
    # 16.39 where either half of a linear has a bias of its own, as in BinaryBERT's code; one is enough.
    second_biases = 4 * (12 * (3 * 384 + 1536 + 2 * 768) + 768) / size.MIB
    counted = sizes.without_position_and_segment
    assert counted.mib + second_biases == pytest.approx(16.39, abs=0.005)
    assert (counted.mib, counted.ratio) == (pytest.approx(16.20, abs=0.005), pytest.approx(25.8, abs=0.05))


def test_bert_base_of_half_the_width_is_counted_against_the_whole_one() -> None:
    sizes = bert_base(Precision(2, 2, 32), width=0.5)
    parts = {part.part: part for part in sizes.parts}
    assert parts["encoder"].parameters == 84_934_656 // 2
    assert sum(part.full_bytes for part in sizes.parts) == 4 * (109_482_240 + 2 * 768 + 2)


def test_bert_base_has_the_parameters_it_is_known_for() -> None:
    parts = {part.part: part for part in bert_base(Precision(1, 1, 1)).parts}
    assert parts["word table"].parameters == 30522 * 768
    assert parts["position table"].parameters == 512 * 768
    assert parts["segment table"].parameters == 2 * 768
    assert parts["encoder"].parameters == 84_934_656
    assert parts["pooler"].parameters == 589_824
    assert parts["norms and biases"].parameters == 82_944 + 38_400 + 768
    assert sum(part.parameters for part in parts.values()) == 109_482_240 + 2 * 768 + 2


@pytest.mark.parametrize(("bits", "activations"), [(1, 8), (1, 1), (2, 32), (8, 4)])
def test_the_file_is_as_large_as_the_formula_says(
    trained: Rung, tmp_path: Path, bits: int, activations: int
) -> None:
    vocabulary, hidden, inner, layers, positions = 30_000, 256, 1024, 2, 128
    shape = {"vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": inner}
    source = trained(Precision(bits, bits, activations), **shape, max_position_embeddings=positions)
    pack(source, tmp_path)
    rows = vocabulary + positions + 2 + layers * (5 * hidden + inner) + hidden
    codes = (vocabulary + positions + 2) * hidden + layers * (4 * hidden**2 + 2 * hidden * inner) + hidden**2
    linears = layers * (5 * hidden + inner) + hidden
    norms = 2 * hidden * (2 * layers + 1)
    shifts = layers * (4 * hidden + hidden + inner + 3 * hidden) + hidden if activations == 1 else 0
    head = 2 * hidden + 2
    stored = 8 * 52 / 256 if bits == 2 else bits  # five ternary codes in a byte
    formula = codes * stored / 8 + 2 * (rows + linears + norms + shifts) + 4 * head
    assert (tmp_path / "model.safetensors").stat().st_size == pytest.approx(formula, rel=0.01)


def test_parts_add_up_to_the_file(packed: Path) -> None:
    sizes = size.account(packed)
    assert sum(part.stored_bytes for part in sizes.parts) == sizes.file_bytes
    assert sizes.file_bytes == (packed / "model.safetensors").stat().st_size


def test_bits_are_told_per_part(trained: Rung, tmp_path: Path) -> None:
    pack(trained(Precision(1, 4, 1)), tmp_path)
    bits = {part.part: part.bits for part in size.account(tmp_path).parts}
    assert (bits["word table"], bits["encoder"], bits["scales"], bits["head"]) == (4, 1, 16, 32)
    assert bits["activation steps"] == 16


def test_a_changed_file_is_not_measured(packed: Path) -> None:
    (packed / "model.safetensors").write_bytes(b"")
    with pytest.raises(files.IntegrityError):
        size.account(packed)


def test_inspect_prints_every_part_and_the_ways_of_counting(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert size.main(str(packed), as_json=False) == 0
    text = capsys.readouterr().out
    for expected in ("word table", "encoder", "scales", "on disk", "position and segment left out"):
        assert expected in text
    assert f"{(packed / 'model.safetensors').stat().st_size:,}" in text


def test_a_rung_as_it_was_trained_is_refused(trained: Rung) -> None:
    with pytest.raises(FormatError, match="holds a trained model"):
        size.account(trained(Precision(1, 1, 32)))


def test_inspect_as_json_is_json(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert size.main(str(packed), as_json=True) == 0
    sizes = json.loads(capsys.readouterr().out)
    assert sizes["file_bytes"] == (packed / format.WEIGHTS).stat().st_size
