"""Parts of a training split: sizes, shares, order, and the same rows for the same seed."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.splits import cap_rows, hold_out, hold_out_groups, text_key, text_keys
from pipeline.kinds.checks import DataError

labels_of_two_rows_at_least = st.dictionaries(
    st.integers(0, 4), st.integers(2, 30), min_size=2, max_size=4
).map(lambda counts: [label for label, num in counts.items() for _ in range(num)])


def frame(labels: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"sentence": [f"row {i}" for i in range(len(labels))], "label": labels})


@given(labels_of_two_rows_at_least, st.floats(0.01, 0.45), st.integers(0, 2**32 - 1))
def test_every_row_is_in_one_part_in_its_order_with_its_label(
    labels: list[int], fraction: float, seed: int
) -> None:
    train = frame(labels)
    rest, held = hold_out(train, fraction=fraction, seed=seed, stratify=True)
    assert sorted([*rest["sentence"], *held["sentence"]]) == sorted(train["sentence"])
    for part in (rest, held):
        numbers = [int(text.split()[1]) for text in part["sentence"]]
        assert numbers == sorted(numbers)
        assert part["label"].tolist() == [labels[number] for number in numbers]


@given(st.lists(st.integers(0, 8), min_size=1), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_list_is_kept_whole_or_left_out_and_no_more_rows_than_asked_for(
    lists: list[int], most: int, seed: int
) -> None:
    rows, names = frame(lists), list(map(str, lists))
    how = {"max_rows": most, "seed": seed, "stratify": False, "lists": names}
    sizes = Counter(lists)
    if len(lists) > most < min(sizes.values()):
        with pytest.raises(DataError, match=f"{most} rows; rows with one query are kept together"):
            cap_rows(rows, **how)
        return
    kept = cap_rows(rows, **how)
    assert 0 < len(kept) <= max(most, 0 if len(lists) > most else len(lists))
    assert all(count == sizes[number] for number, count in Counter(kept["label"]).items())
    left_out = [count for number, count in sizes.items() if number not in set(kept["label"])]
    assert all(count > most - len(kept) for count in left_out), "none that is left out would have fitted"


@given(labels_of_two_rows_at_least, st.floats(0.01, 0.45))
def test_each_class_keeps_its_share_to_a_row_or_so_and_is_in_both_parts(
    labels: list[int], fraction: float
) -> None:
    rest, held = hold_out(frame(labels), fraction=fraction, seed=0, stratify=True)
    size = max(round(fraction * len(labels)), len(set(labels)))
    assert len(held) == size
    counts, all_counts = Counter(held["label"].tolist()), Counter(labels)
    assert set(counts) == set(rest["label"]) == set(labels)
    for label, num in all_counts.items():
        # A row of rounding, and what rare classes get so as not to go without comes off the others.
        assert abs(counts[label] - num * size / len(labels)) <= len(all_counts)


def test_a_seed_gives_the_same_rows_and_another_seed_others() -> None:
    train = frame([0, 1] * 50)
    first, again, other = (hold_out(train, fraction=0.2, seed=seed, stratify=True)[1] for seed in (7, 7, 8))
    pd.testing.assert_frame_equal(first, again)
    assert first["sentence"].tolist() != other["sentence"].tolist()


def test_numpys_global_generator_plays_no_part() -> None:
    train = frame([0, 1] * 50)
    np.random.seed(1)
    first = hold_out(train, fraction=0.2, seed=7, stratify=True)[1]
    np.random.seed(2)
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    assert first.equals(hold_out(train, fraction=0.2, seed=7, stratify=True)[1])
    assert (np.random.get_state()[1] == before).all()


def test_scores_are_drawn_without_regard_to_their_value() -> None:
    train = frame([0] * 40).assign(label=np.arange(40, dtype=np.float32))
    rest, held = hold_out(train, fraction=0.25, seed=0, stratify=False)
    assert (len(rest), len(held)) == (30, 10)


def test_a_class_of_one_row_cannot_be_in_both_parts() -> None:
    with pytest.raises(DataError, match=r"task\.selection_fraction: 3 of 12 .*\{0: 6, 1: 5, 2: 1\}"):
        hold_out(frame([0] * 6 + [1] * 5 + [2]), fraction=0.1, seed=0, stratify=True)


def test_a_cap_keeps_so_many_rows_of_every_class() -> None:
    capped = cap_rows(frame([0] * 80 + [1] * 20), max_rows=10, seed=0, stratify=True)
    assert Counter(capped["label"].tolist()) == {0: 8, 1: 2}


@pytest.mark.parametrize("max_rows", [None, 100, 1000])
def test_a_cap_that_is_not_reached_changes_nothing(max_rows: int | None) -> None:
    train = frame([0, 1] * 50)
    assert cap_rows(train, max_rows=max_rows, seed=0, stratify=True) is train


@pytest.mark.parametrize("max_rows", [1, 99])
def test_a_cap_that_would_lose_a_class_is_refused(max_rows: int) -> None:
    with pytest.raises(DataError, match=r"data\.max_train_rows"):
        cap_rows(frame([0, 1] * 50), max_rows=max_rows, seed=0, stratify=True)


def test_a_regression_too_small_to_cut_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 1 training rows, any label; each label needs"):
        hold_out(frame([0]), fraction=0.1, seed=0, stratify=False)


groups_of_rows = st.lists(st.sampled_from("abcdef"), min_size=8, max_size=60).filter(
    lambda g: len(set(g)) > 3
)


@given(groups_of_rows, st.floats(0.01, 0.2), st.integers(0, 99))
def test_a_group_is_whole_on_one_side_and_rows_stay_in_order(
    groups: list[str], fraction: float, seed: int
) -> None:
    train = frame([0] * len(groups)).assign(group=groups)
    try:
        rest, held = hold_out_groups(train, groups, fraction=fraction, seed=seed)
    except DataError:
        assert pd.Series(groups).value_counts().iloc[-1] < fraction * len(groups)
        return
    assert not set(rest["group"]) & set(held["group"])
    assert len(held) >= fraction * len(groups)
    assert len(rest) + len(held) == len(groups)
    assert len(rest) > 0
    numbers = [int(text.split()[1]) for text in held["sentence"]]
    assert numbers == sorted(numbers)


def test_another_seed_holds_out_other_groups() -> None:
    groups = [f"article {number // 4}" for number in range(80)]
    train = frame([0] * 80)
    held = [
        hold_out_groups(train, groups, fraction=0.1, seed=seed)[1]["sentence"].tolist() for seed in (0, 0, 1)
    ]
    assert held[0] == held[1] != held[2]


def test_one_article_alone_cannot_be_cut() -> None:
    with pytest.raises(DataError, match=r"task\.selection_fraction: 0\.1 of 9 training rows"):
        hold_out_groups(frame([0] * 9), ["one"] * 9, fraction=0.1, seed=0)


# rows that say the same


@pytest.mark.parametrize(
    "same", ["A  River\truns", " a river runs ", "a river runs\r\n", "\uff41 river runs"]
)
def test_capitals_spaces_and_compatible_forms_are_evened_out(same: str) -> None:
    assert text_key([same]) == text_key(["a river runs"])


@pytest.mark.parametrize(
    "other", [["a river run"], ["a", "river runs"], ["a river", "runs"], ["a river runs", ""]]
)
def test_other_words_and_other_cuts_are_other_rows(other: list[str]) -> None:
    assert text_key(other) != text_key(["a river runs"])


@given(st.text(), st.text())
def test_a_sentence_cannot_spell_the_border_of_a_pair(one: str, two: str) -> None:
    assert text_key([f"{one}\x1f{two}"]) != text_key([one, two])


def test_a_pair_is_the_same_only_as_a_whole() -> None:
    train = pd.DataFrame({"premise": ["a", "a", "b"], "hypothesis": ["x", "y", "x"], "label": [0, 0, 0]})
    assert len(set(text_keys(train, ["premise", "hypothesis"]))) == 3
