"""Words are found by characters, and each has the first token that begins in it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_rung import NOUNS, write_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bitladder.text.words import NOWHERE, join_words, split_words, tokenize_words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(made)
    return made


def words(text: str, *edges: int) -> list[str]:
    return [text[start:end] for start, end in split_words(text, edges)]


def test_punctuation_at_the_ends_of_a_word_stands_alone() -> None:
    found = words("Alice (EU) left the U.S. for New-York, didn't she?")
    assert found == [
        "Alice",
        "(",
        "EU",
        ")",
        "left",
        "the",
        "U.S",
        ".",
        "for",
        "New-York",
        ",",
        "didn't",
        "she",
        "?",
    ]


def test_a_mark_over_a_letter_belongs_to_its_word() -> None:
    assert words("the cafe\u0301 here") == ["the", "cafe\u0301", "here"]


def test_words_end_at_edges() -> None:
    assert words("Newyorkcity", 7) == ["Newyork", "city"]
    assert words("a b", 1, 2) == ["a", "b"]


@given(st.text(max_size=30))
def test_every_visible_character_is_in_one_word(text: str) -> None:
    covered = [at for start, end in split_words(text) for at in range(start, end)]
    assert covered == sorted(set(covered))
    assert {at for at, one in enumerate(text) if not one.isspace()} <= set(covered)


@given(st.lists(st.text(min_size=1).filter(str.strip), max_size=5))
def test_joined_words_stand_where_they_are_said_to(given_words: list[str]) -> None:
    text, places = join_words(given_words)
    assert [text[start:end] for start, end in places] == given_words


def test_the_first_token_of_each_word_by_hand(folder: Path) -> None:
    """[CLS] the dog ##s . [SEP]: `dogs` begins at its first piece."""
    found = tokenize_words(["the dogs ."], [split_words("the dogs .")], folder, max_length=9)
    assert len(found.tokens.input_ids[0]) == 6
    assert found.first_tokens == [[1, 2, 4]]


def test_words_of_which_nothing_is_read_are_nowhere(folder: Path) -> None:
    """The third lies behind the end, the \u200b is dropped by the tokenizer."""
    text, places = join_words(["dog", "\u200b", "cat", "bird"])
    found = tokenize_words([text], [places], folder, max_length=4)
    assert found.first_tokens == [[1, NOWHERE, 2, NOWHERE]]
    assert found.tokens.num_truncated == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*NOUNS, "dogs", "don't", "U.S.", "(", "."]), min_size=1, max_size=8))
def test_a_tokenizer_that_counts_the_space_to_its_token_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, given_words: list[str]
) -> None:
    """Byte-level tokens begin with the space before them, and their first one is a word's all the same."""
    made = tmp_path_factory.mktemp("bytes")
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=["[PAD]", "[UNK]"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator([*NOUNS, "dogs"], trainer)
    tokenizer.save(str(made / "tokenizer.json"))
    text, places = join_words(given_words)
    [first_tokens] = tokenize_words([text], [places], made, max_length=99).first_tokens
    assert NOWHERE not in first_tokens
    assert first_tokens == sorted(set(first_tokens))
