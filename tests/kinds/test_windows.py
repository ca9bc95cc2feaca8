"""Windows cover every context, are what transformers would cut, and their labels point at the answer."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_rung import NOUNS, VERBS, write_tokenizer

from pipeline.kinds.windows import OUTSIDE, Windows, encode_windows
from pipeline.params import Answering

WORDS = [*NOUNS, *VERBS, "the", "a", "."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(made)
    return made


def rows(*asked: tuple[str, str, list[tuple[str, int]]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "question": [question for question, _, _ in asked],
            "context": [context for _, context, _ in asked],
            "answer_texts": [[text for text, _ in answers] for _, _, answers in asked],
            "answer_starts": [[start for _, start in answers] for _, _, answers in asked],
        }
    )


def cut(
    frame: pd.DataFrame, folder: Path, *, max_length: int = 12, stride: int = 2, question: int = 4
) -> Windows:
    answering = Answering(
        doc_stride=stride, max_question_length=question, max_answer_length=5, unanswerable=True
    )
    return encode_windows(frame, folder, answering, max_length=max_length)


def labelled(windows: Windows, number: int) -> str:
    first, last = windows.labels[number].tolist()
    context = windows.contexts[windows.question_of[number]]
    return context[windows.offsets[number][first, 0] : windows.offsets[number][last, 1]]


def test_windows_by_hand(folder: Path) -> None:
    """12 tokens less the question's 2 and 3 special ones leave 7; each window begins 5 further on."""
    context = "the dog sees a cat . the bird hears a fish ."
    found = cut(rows(("sees cat", context, [("a fish", context.index("a fish"))])), folder)
    assert found.question_of == [0, 0]
    assert found.tokens.num_truncated == 0
    assert [len(ids) for ids in found.tokens.input_ids] == [12, 12]
    assert found.tokens.token_type_ids[0] == [0] * 4 + [1] * 8
    assert found.labels.tolist() == [[0, 0], [8, 9]]
    assert labelled(found, 1) == "a fish"
    assert found.offsets[0][:5].tolist() == [[OUTSIDE, OUTSIDE]] * 4 + [[0, 3]]
    assert found.offsets[0][-1].tolist() == [OUTSIDE, OUTSIDE]


def test_windows_are_those_of_transformers(folder: Path) -> None:
    from transformers import AutoTokenizer

    context = "the dog sees a cat . " * 8
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    expected = tokenizer(
        ["a cat"],
        [context],
        truncation="only_second",
        max_length=12,
        stride=2,
        return_overflowing_tokens=True,
    )
    found = cut(rows(("a cat", context, [])), folder)
    assert found.tokens.input_ids == expected["input_ids"]
    assert found.tokens.token_type_ids == expected["token_type_ids"]


def test_a_long_question_is_cut_and_the_spaces_around_it_do_not_count(folder: Path) -> None:
    context = "the dog sees a cat ."
    long, short = (cut(rows((text, context, [])), folder) for text in ("  dog " * 9, "dog dog dog dog"))
    assert long.tokens.input_ids == short.tokens.input_ids
    assert (long.tokens.num_truncated, short.tokens.num_truncated) == (1, 0)


def test_an_answer_cut_by_the_edge_of_a_window_is_no_answer_there(folder: Path) -> None:
    context = "the dog sees a cat . the bird hears a fish ."
    found = cut(rows(("sees cat", context, [("cat . the bird", context.index("cat"))])), folder, stride=4)
    texts = [labelled(found, number) for number in range(len(found.labels)) if found.labels[number].any()]
    assert texts == ["cat . the bird"]
    assert len(found.labels) > 1


def test_a_question_without_an_answer_points_at_the_first_token(folder: Path) -> None:
    found = cut(rows(("a cat", "the dog sees a cat .", [])), folder)
    assert found.labels.tolist() == [[0, 0]]
    assert found.answers == [[]]


def test_questions_to_be_answered_need_no_answers(folder: Path) -> None:
    found = cut(pd.DataFrame({"question": ["a cat"], "context": ["the dog sees a cat ."]}), folder)
    assert found.labels.tolist() == [[0, 0]]


def test_a_window_without_room_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="max_length: 9 tokens hold no window"):
        cut(rows(("a cat", "the dog", [])), folder, max_length=9)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60), st.data())
def test_an_answer_shorter_than_what_windows_share_stands_whole_in_one(
    folder: Path, words: list[str], data: st.DataObject
) -> None:
    context = " ".join(words)
    first = data.draw(st.integers(0, len(words) - 1))
    answer = " ".join(words[first : first + data.draw(st.integers(1, 3))])
    start = len(" ".join([*words[:first], ""]))
    found = cut(rows(("the dog", context, [(answer, start)])), folder, stride=3)
    texts = [labelled(found, number) for number, label in enumerate(found.labels) if label.any()]
    assert texts
    assert set(texts) == {answer}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
def test_every_word_of_a_context_is_read(folder: Path, words: list[str]) -> None:
    found = cut(rows(("the dog", " ".join(words), [])), folder)
    places = {tuple(place) for offsets in found.offsets for place in offsets.tolist() if place[0] != OUTSIDE}
    assert len(places) == len(words)
