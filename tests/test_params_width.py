"""`width` and `split` of a rung: refused where its parent's weights could not fit."""

from pathlib import Path
from typing import Any

import changed_rungs
import pytest


def problems(folder: Path, **changes: dict[str, Any]) -> list[str]:
    return changed_rungs.problems(folder, "ladder=binarybert", **changes)


def test_the_ladder_itself_is_accepted(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    ("rung", "fields", "problem"),
    [
        (
            "w1_split",
            {"width": None},
            "weights.w1_split.width: 1, and its parent w2_half has 0.5; write that, or start",
        ),
        ("w1_split", {"width": 0.25}, "weights.w1_split.width: 0.25, and its parent w2_half has 0.5"),
        ("w2_half", {"width": 0.3}, "weights.w2_half.width: 0.3 of the model's num_attention_heads"),
        ("w2_half", {"width": 1.5}, "weights.w2_half.width: 1.5 is not allowed"),
        ("w1_split", {"bits": 2}, "weights.w1_split.split: each matrix becomes a sum of two binary ones"),
        (
            "w1_split",
            {"embedding_bits": 2},
            "weights.w1_split.split: each matrix becomes a sum of two binary ones",
        ),
        (
            "w2_half",
            {"bits": 4},
            "weights.w1_split.split: w2_half cannot be split; start from a rung with bits",
        ),
        ("w2_half", {"embedding_bits": 8}, "weights.w1_split.split: w2_half cannot be split"),
        (
            "w1_split",
            {"granularity": "matrix"},
            "weights.w1_split.split: needs the scales of its parent w2_half; write granularity: row",
        ),
        ("w1a8_split", {"split": None}, "weights_activations.w1a8_split.split: its parent w1_split is split"),
        (
            "w2_half",
            {"init": {"head": {"copy_from": "teacher"}}},
            "init.head: the teacher is neither narrow nor",
        ),
    ],
)
def test_a_parent_that_does_not_fit_is_refused(
    tmp_path: Path, rung: str, fields: dict[str, Any], problem: str
) -> None:
    assert any(problem in found for found in problems(tmp_path, **{rung: fields}))


def test_the_teacher_cannot_be_split(tmp_path: Path) -> None:
    found = problems(tmp_path, w1_split={"init_from": "teacher"})
    assert found == [
        "weights.w1_split.split: teacher cannot be split; start from a rung with bits: 2, or from a split one"
    ]
