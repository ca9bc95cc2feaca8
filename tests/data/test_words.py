"""A token's word, its ending and its capitals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.words import ENDINGS, LeftAlone, ending, is_content_word, match_case, split_edges


@given(st.text())
def test_the_edges_and_the_word_make_the_token(token: str) -> None:
    assert "".join(split_edges(token)) == token


@pytest.mark.parametrize(
    ("token", "parts"),
    [
        ("(Dog.", ("(", "Dog", ".")),
        ("can't", ("", "can't", "")),
        ('"U.S."', ('"', "U.S", '."')),
        ("--", ("--", "", "")),
        ("naïve,", ("", "naïve", ",")),
    ],
)
def test_punctuation_at_the_edges_is_no_part_of_the_word(token: str, parts: tuple[str, str, str]) -> None:
    assert split_edges(token) == parts


@pytest.mark.parametrize(
    "token", ["the", "The", "not", "can't", "don't.", "1999", "well-known", ".", "I", "x"]
)
def test_function_words_numbers_and_contractions_are_left_alone(token: str) -> None:
    assert token in LeftAlone()


@pytest.mark.parametrize("token", ["dog", "(Dog.", "naïve", "RIVER", "river,"])
def test_content_words_are_not_left_alone(token: str) -> None:
    assert token not in LeftAlone()


@pytest.mark.parametrize(
    ("word", "like", "cased"),
    [("cat", "Dog", "Cat"), ("cat", "DOG", "CAT"), ("cat", "dog", "cat"), ("cat", "I", "Cat")],
)
def test_capitals_follow_the_word_replaced(word: str, like: str, cased: str) -> None:
    assert match_case(word, like) == cased


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("dogs", "s"),
        ("glass", ""),
        ("Walked", "ed"),
        ("walking", "ing"),
        ("slowly", "ly"),
        ("dog", ""),
        ("", ""),
    ],
)
def test_an_ending_is_read_off_the_spelling(word: str, expected: str) -> None:
    assert ending(word) == expected


@given(st.text())
def test_every_word_has_one_ending(word: str) -> None:
    assert ending(word) in ENDINGS


def test_pieces_of_words_are_no_words() -> None:
    assert not is_content_word("##ing")
    assert not is_content_word("[MASK]")
