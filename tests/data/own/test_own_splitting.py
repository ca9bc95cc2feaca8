"""Rows held out by groups: no group on both sides, classes in their shares, the same for the same seed."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.own.splitting import hold_out_groups_by_class
from pipeline.kinds.checks import DataError

SETTING = "data.files.validation_fraction"


def split(
    rows: list[tuple[int, int]], *, fraction: float = 0.2, seed: int = 0, keep: int = 2
) -> list[pd.DataFrame]:
    frame = pd.DataFrame(rows, columns=["label", "group"]).assign(idx=range(len(rows)))
    how = {"fraction": fraction, "seed": seed, "keep": keep}
    return list(hold_out_groups_by_class(frame, stratify=True, setting=SETTING, **how))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=40, max_size=120),
    st.integers(0, 5),
)
def test_no_group_stands_on_both_sides_and_no_row_is_lost(rows: list[tuple[int, int]], seed: int) -> None:
    try:
        train, held = split(rows, seed=seed)
    except DataError:  # a class in one group only
        return
    assert not {*train["group"]} & {*held["group"]}
    assert sorted([*train["idx"], *held["idx"]]) == list(range(len(rows)))
    assert {*train["label"]} == {label for label, _ in rows}


def test_classes_keep_their_shares() -> None:
    train, held = split([(number % 4 == 0, number) for number in range(200)])
    assert held["label"].value_counts().to_dict() == {False: 30, True: 10}
    assert len(train) == 160


def test_a_class_of_two_texts_stays_in_train_whole() -> None:
    rows = [(0, number) for number in range(20)] + [(1, 20), (1, 21)]
    train, held = split(rows)
    assert (train["label"].sum(), held["label"].sum()) == (2, 0)
    assert split(rows, keep=1)[1]["label"].sum() == 1


def test_the_seed_decides() -> None:
    rows = [(number % 2, number) for number in range(100)]
    assert split(rows)[1].equals(split(rows)[1])
    assert not split(rows)[1].equals(split(rows, seed=1)[1])


def test_one_group_is_refused_by_the_setting_that_asks_for_it() -> None:
    with pytest.raises(DataError, match=f"{SETTING}: no group of rows can be spared"):
        split([(number % 2, 0) for number in range(20)])
