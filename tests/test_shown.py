"""What a terminal shows: nothing that moves its cursor, no two names alike, something for every character."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitladder import shown


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert shown.printable("\x1b[31mred\x07 ü") == "\\x1b[31mred\\x07 ü"


@given(st.text())
def test_whatever_is_shown_is_printable(text: str) -> None:
    assert shown.printable(text).isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "a\u200b"),  # a blank of no width
        ("a", "a "),
        ("a b", "a\u00a0b"),
        ("caf\u00e9", "cafe\u0301"),  # composed and not
        ("a", "a\ufe0f"),  # chosen drawing of a letter that has one only
        ("a\x07", "a\\x07"),
        ("Cat", "\u0421at"),  # a Cyrillic C
        ("", " "),
    ],
)
def test_two_names_that_look_alike_are_told_apart(one: str, other: str) -> None:
    found = shown.apart([one, other, "another"])
    assert found["another"] == "another"
    assert found[one] != found[other]
    assert (found[one], found[other]) in (
        (ascii(one), ascii(other)),
        (one, one + "\\u200b"),
        (one, "a\\xa0b"),
    )


@given(st.lists(st.text(), unique=True))
def test_no_two_names_are_shown_the_same(names: list[str]) -> None:
    found = shown.apart(names)
    assert len(set(found.values())) == len(found) == len(names)


def test_names_that_are_told_apart_at_sight_are_shown_as_they_are() -> None:
    names = ["ham", "Spam", "weder noch", "né"]
    assert list(shown.apart(names).values()) == names


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
@given(text=st.text(st.characters(codec="utf-8") | st.just("\ud800")))
def test_json_comes_back_as_it_was_whatever_the_output_can_take(encoding: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
        patch.setattr(sys, "stdout", stream)
        stream.write(shown.as_json({text: text}))
        stream.seek(0)
        assert json.loads(stream.read()) == {text: text}


def test_what_ascii_lacks_is_written_as_something_like_it() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    shown.never_fail(stream)
    stream.write("0.97 ± 0.01 … café \ud800")
    stream.seek(0)
    assert stream.read() == "0.97 +- 0.01 ... caf\\xe9 \\ud800"
