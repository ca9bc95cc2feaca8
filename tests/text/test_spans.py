"""The best piece of the context is found among all windows, and only there."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitladder.text.spans import Span, answers, best_spans
from bitladder.text.tokens import Tokens
from pipeline.kinds.windows import OUTSIDE, Windows

CONTEXT = "ab cd ef gh ij kl"
OUT = [OUTSIDE, OUTSIDE]
WORDS = [[start, start + 2] for start in range(0, len(CONTEXT), 3)]


def windows(*offsets: list[list[int]], question_of: list[int] | None = None) -> Windows:
    of = question_of or [0] * len(offsets)
    places = [np.array(own, np.int32) for own in offsets]
    contexts = [CONTEXT] * (max(of) + 1)
    return Windows(
        Tokens([], [], 0), of, places, contexts, np.zeros((len(offsets), 2), np.int64), [[]] * len(contexts)
    )


def logits(*windows: tuple[list[float], list[float]]) -> np.ndarray:
    return np.array(windows, np.float32)


def test_the_best_piece_by_hand() -> None:
    one = windows([OUT, OUT, *WORDS[:3], OUT])
    [found] = best_spans(logits(([1, 9, 0, 3, 0, 9], [2, 9, 4, 0, 1, 9])), one, max_answer_length=3)
    # A start of 3 and an end of 4 lie the wrong way round; 3 + 1 and 0 + 4 are equal, and the first counts.
    assert found == Span("ab", 0, 2, 4.0, 3.0)
    assert found.margin == -1.0


def test_an_answer_is_at_most_so_long() -> None:
    one = windows([OUT, *WORDS])
    row = logits(([0, 5, 0, 0, 0, 0, 0], [0, 0, 0, 0, 2, 0, 5]))
    texts = [best_spans(row, one, max_answer_length=length)[0].text for length in (1, 4, 6)]
    assert texts == ["ab", "ab cd ef gh", CONTEXT]


def test_the_best_of_all_windows_counts_and_the_least_sure_no_answer() -> None:
    three = windows([OUT, *WORDS[:2]], [OUT, *WORDS[1:3]], [OUT, *WORDS[:2]], question_of=[0, 0, 1])
    first, second = best_spans(
        logits(([7, 1, 0], [7, 1, 0]), ([3, 0, 2], [3, 0, 2]), ([0, 0, 0], [0, 0, 1])),
        three,
        max_answer_length=2,
    )
    assert (first.text, first.score, first.no_answer) == ("ef", 4.0, 6.0)
    assert second.text == "ab cd"


def test_a_context_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="no word"):
        best_spans(logits(([0, 0], [0, 0])), windows([OUT, OUT]), max_answer_length=2)


def test_the_threshold_silences_margins_over_it() -> None:
    found = [Span("ab", 0, 2, 1.0, no_answer) for no_answer in (0.0, 2.0, 3.0)]
    assert answers(found, 1.0) == ["ab", "ab", ""]
    assert answers(found, None) == ["ab"] * 3


values = st.lists(st.floats(-9, 9, width=16), min_size=8, max_size=8)


@given(values, values, st.integers(1, 7))
def test_no_piece_that_is_allowed_scores_more(starts: list[float], ends: list[float], length: int) -> None:
    [found] = best_spans(logits((starts, ends)), windows([OUT, *WORDS, OUT]), max_answer_length=length)
    allowed = [(i, j) for i, j in product(range(1, 7), repeat=2) if i <= j < i + length]
    assert found.score == pytest.approx(max(starts[i] + ends[j] for i, j in allowed))
    assert CONTEXT[found.start : found.end] == found.text


@given(values, values)
def test_padding_after_the_last_token_changes_nothing(starts: list[float], ends: list[float]) -> None:
    one = windows([OUT, *WORDS, OUT])
    row = logits((starts, ends))
    padded = np.pad(row, ((0, 0), (0, 0), (0, 5)), constant_values=99)
    assert best_spans(padded, one, max_answer_length=3) == best_spans(row, one, max_answer_length=3)
