"""What users give as text is text, or is refused by the name of the argument."""

import os

import numpy as np
import pandas as pd
import pytest

from bitladder.text.given import TextError, require_text, require_texts


@pytest.mark.parametrize("text", ["", "a", "né", "\U0001f600", "\x00", "\ufeff"])
def test_text_is_taken_as_it_is(text: str) -> None:
    assert require_text(text, "TEXT") == text


def test_a_byte_that_is_not_utf8_is_named_with_its_argument_and_place() -> None:
    with pytest.raises(TextError, match=r"^--context: the byte 0xff at character 2 is not UTF-8"):
        require_text(os.fsdecode(b"ab\xffc"), "--context")


def test_a_lone_surrogate_is_named() -> None:
    with pytest.raises(TextError, match=r"^texts\[1\]: the lone surrogate U\+D83D at character 1 "):
        require_texts(["fine", "x\ud83d"], "texts")


@pytest.mark.parametrize("value", [None, float("nan"), 3, b"bytes", ["a"]])
def test_what_is_no_text_is_named(value: object) -> None:
    with pytest.raises(TextError, match=r"^texts\[0\]: .* is no text, but a "):
        require_texts([value], "texts")


@pytest.mark.parametrize("value", [None, b"ab", 3, {"text": "a", "text_pair": "b"}])
def test_what_is_no_list_is_named(value: object) -> None:
    """Nor is a mapping, as pipelines of transformers take one: its keys would be answered."""
    with pytest.raises(TextError, match="no list of texts"):
        require_texts(value, "pairs")


def test_lists_of_all_kinds_are_lists() -> None:
    kinds = (("a", "b"), np.array(["a", "b"]), pd.Series(["a", "b"]), iter("ab"), {"a": 1, "b": 2}.keys())
    assert all(require_texts(one, "texts") == ["a", "b"] for one in kinds)
