"""Rows that cannot be trained on are refused by file, row, value and count; odd but honest text is not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kinds.checks import DataError, checked

SENTENCES = ["one river", "two rivers", "three rivers", "four rivers"]


def table(**columns: Any) -> pa.Table:
    num = len(next(iter(columns.values()))) if columns else len(SENTENCES)
    every = {"sentence": SENTENCES[:num], "label": [0, 1, 0, 1][:num], "idx": list(range(num)), **columns}
    return pa.table(every)


def check(made: pa.Table, *, num_labels: int | None = 2, training: bool = True) -> pd.DataFrame:
    return checked(
        made,
        source="made/up.parquet",
        sentence_columns=["sentence"],
        num_labels=num_labels,
        training=training,
    )


def problems(made: pa.Table, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        check(made, **options)
    assert all(problem.startswith("made/up.parquet: ") for problem in caught.value.problems)
    return str(caught.value)


def test_good_rows_come_out_with_the_types_that_are_trained_on() -> None:
    frame = check(table(label=pa.array([0, 1, 1, 0], pa.int8()), idx=pa.array([3, 2, 1, 0], pa.int32())))
    assert frame["label"].dtype == np.int64
    assert frame["idx"].dtype == np.int32
    assert frame["sentence"].tolist() == SENTENCES


def test_scores_come_out_as_float32() -> None:
    assert check(table(label=[0.5, 5.0, 2.25, 0.0]), num_labels=None)["label"].dtype == np.float32


@pytest.mark.parametrize("wrong", [5, 2, -1, -100, 2**40])
def test_a_label_out_of_range_is_told_with_row_value_and_counts(wrong: int) -> None:
    told = problems(table(label=[0, 1, wrong, wrong]))
    assert f"column 'label', row 2: {wrong} (2 such rows); expected integers 0..1" in told
    assert f"'{wrong}': 2" in told


def test_a_missing_label_is_told() -> None:
    assert "column 'label', row 1: missing (1 such rows)" in problems(table(label=[0, None, 1, 1]))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [([0.0, 1.0, 0.0, 1.0], "double"), (list("0101"), "string"), ([True, False] * 2, "bool")],
)
def test_labels_of_another_type_are_refused(labels: list[Any], kind: str) -> None:
    assert f"column 'label' holds {kind}; expected integers 0..1" in problems(table(label=labels))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf"), None, 1e300])
def test_a_score_must_be_a_finite_float32(wrong: float | None) -> None:
    told = problems(table(label=pa.array([1.0, 2.0, 3.0, wrong], pa.float64())), num_labels=None)
    assert "column 'label', row 3: " in told
    assert "expected finite floats" in told


def test_whole_numbers_are_no_scores() -> None:
    assert "holds int64; expected floats" in problems(table(), num_labels=None)


@pytest.mark.parametrize("name", ["sentence", "label", "idx"])
def test_a_missing_column_is_told_with_those_there_are(name: str) -> None:
    assert f"no column '{name}'; it has " in problems(table().drop_columns([name]))


def test_a_table_without_rows_is_refused() -> None:
    assert "no rows; at least one is needed" in problems(table().slice(0, 0))


def test_a_column_without_rows_and_name_is_told_too() -> None:
    told = problems(pa.table({}))
    assert told.count("no column") == 3
    assert "no rows" in told


def test_training_needs_two_classes_and_validation_does_not() -> None:
    one_class = table(label=[1, 1, 1, 1])
    assert "one class only, rows per label: {'1': 4}" in problems(one_class)
    assert len(check(one_class, training=False)) == 4


def test_one_row_is_a_validation_split() -> None:
    assert len(check(table().slice(0, 1), training=False)) == 1


@pytest.mark.parametrize("empty", [None, "", "   ", "\t\r\n", "\u200b\u200d", "\ufeff", "\x00", "\u2028\xa0"])
def test_text_without_a_visible_character_is_refused(empty: str | None) -> None:
    told = problems(table(sentence=["one river", empty, "three rivers", empty]))
    assert "column 'sentence', row 1: " in told
    assert "(2 such rows)" in told


def test_bytes_that_are_not_utf8_are_told_by_row() -> None:
    raw = pa.array([b"one", b"caf\xe9", b"three", b"four"], pa.binary())
    broken = pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:])
    told = problems(table(sentence=broken))
    assert "column 'sentence', row 1: b'caf\\xe9' (1 such rows); expected UTF-8" in told


def test_text_of_another_type_is_refused() -> None:
    assert "column 'sentence' holds int64; expected text" in problems(table(sentence=[1, 2, 3, 4]))


ODD: list[Callable[[str], str]] = [
    lambda text: "\ufeff" + text,
    lambda text: text + "\r\n",
    lambda text: '"' + text,
    lambda text: text.replace(" ", "\t"),
    lambda text: text + "\x00",
    lambda text: text.replace(" ", "\u200b"),
    lambda text: text * 100_000,
]


@pytest.mark.parametrize("odd", ODD)
def test_odd_text_comes_out_as_it_went_in(odd: Callable[[str], str]) -> None:
    texts = [odd(text) for text in SENTENCES]
    assert check(table(sentence=texts))["sentence"].tolist() == texts


def test_every_problem_is_told_at_once() -> None:
    made = table(sentence=["one", "", "three", "four"], label=[0, 1, 2, 1]).drop_columns(["idx"])
    with pytest.raises(DataError) as caught:
        check(made)
    assert len(caught.value.problems) == 3
    assert caught.value.exit_code == 4


@given(st.lists(st.integers(-3, 4), min_size=1, max_size=20))
def test_rows_are_refused_exactly_when_a_label_is_out_of_range(labels: list[int]) -> None:
    made = pa.table({"sentence": ["a river"] * len(labels), "label": labels, "idx": list(range(len(labels)))})
    if all(0 <= label < 2 for label in labels):
        assert check(made, training=False)["label"].tolist() == labels
    else:
        assert "expected integers 0..1" in problems(made, training=False)
