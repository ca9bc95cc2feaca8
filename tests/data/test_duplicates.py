"""Rows that say the same are found whatever their capitals, spaces and Unicode form."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.duplicates import (
    count_contradictions,
    count_duplicates,
    count_overlap,
    text_key,
    text_keys,
)


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


def test_duplicates_overlaps_and_contradictions_are_counted() -> None:
    train = pd.DataFrame({"sentence": ["One", "one", "two", "two", "three"], "label": [0, 1, 0, 0, 1]})
    validation = pd.DataFrame({"sentence": ["TWO", "four", "two"], "label": [1, 0, 1]})
    keys, validation_keys = text_keys(train, ["sentence"]), text_keys(validation, ["sentence"])
    assert count_duplicates(keys) == 2
    assert count_contradictions(train, keys) == 1
    assert count_overlap(validation_keys, keys) == 2


def test_a_pair_is_the_same_only_as_a_whole() -> None:
    train = pd.DataFrame({"premise": ["a", "a", "b"], "hypothesis": ["x", "y", "x"], "label": [0, 0, 0]})
    assert count_duplicates(text_keys(train, ["premise", "hypothesis"])) == 0
