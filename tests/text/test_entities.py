"""Tags of words say the entities that seqeval finds in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from bitladder.text.entities import Entity, bad_tags, entities

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_entities_are_those_of_seqeval_whatever_the_tags(tags: list[str]) -> None:
    assert entities(tags) == [Entity(*found) for found in get_entities(tags)]


def test_entities_by_hand() -> None:
    assert entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-PER"]) == [
        Entity("PER", 0, 1),
        Entity("LOC", 3, 3),
        Entity("LOC", 4, 4),
        Entity("PER", 5, 5),
    ]
    assert entities([]) == entities(["O", "O"]) == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (TAGS, None),
        (["O", "B-PER"], None),
        (["O", "PER"], "'PER' is no tag"),
        (["O", "B-"], "'B-' is no tag"),
        (["B-PER", "I-PER"], "tags are O, and B-X and I-X"),
        (["O", "I-PER"], "I-PER without B-PER"),
    ],
)
def test_tags_of_another_scheme_are_refused(names: list[str], told: str | None) -> None:
    found = bad_tags(names)
    assert found is None if told is None else found is not None and told in found
