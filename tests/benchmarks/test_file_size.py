"""The benchmark of file sizes writes both files and reports what the file system says of them."""

import json
from pathlib import Path

import file_size
import pytest
from random_berts import build, save_packed
from shapes import SHAPES, Shape

from bitladder.quantizers.precision import Precision
from bitladder.transformers_model.model import load

TINY = Shape(64, 2, 128, num_attention_heads=4, vocab_size=200, max_position_embeddings=40)


def test_a_row_is_what_was_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SHAPES, "tiny", TINY)
    monkeypatch.setattr("sys.argv", ["file_size.py", "--model", "tiny", "--json"])
    file_size.main()
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["bits"], row["granularity"], row["scale_bits"]) for row in rows] == [
        (1, "matrix", 16),
        (1, "row", 16),
        (1, "row", 8),
        (2, "matrix", 16),
        (2, "row", 16),
        (2, "row", 8),
    ]
    for row in rows:
        assert row["ratio"] == row["fp32_bytes"] / row["packed_bytes"]
    scales = 200 + 40 + 2 + 2 * (5 * 64 + 128) + 64
    matrices = 3 + 2 * 6 + 1
    by_matrix, by_row, in_8_bits, ternary, ternary_by_row, _ = (row["packed_bytes"] for row in rows)
    assert by_row - in_8_bits == pytest.approx(scales, abs=100), "but for the header"
    assert by_row - by_matrix == pytest.approx(2 * (scales - matrices), abs=200), "but for the header"
    weights = 64 * (200 + 40 + 2 + 2 * (4 * 64 + 2 * 128) + 64)
    # 64 ternary codes are 13 bytes, 128 are 26: 1.625 bits each.
    for one_bit, two_bits in ((by_matrix, ternary), (by_row, ternary_by_row)):
        assert two_bits - one_bit == pytest.approx((1.625 - 1) / 8 * weights, abs=200), "but for the header"


def test_the_packed_model_can_be_loaded(tmp_path: Path) -> None:
    save_packed(tmp_path / "packed", TINY, Precision(1, 1, 4))
    assert load(tmp_path / "packed").config.hidden_size == 64


def test_the_same_shape_has_the_same_weights() -> None:
    first, second = (build(TINY).state_dict() for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)
