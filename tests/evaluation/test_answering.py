"""A model is scored by its answers, with the threshold it was given or else the best on these questions."""

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_model import answerer
from tiny_rung import NOUNS, VERBS, write_tokenizer

from bitladder.modeling.traces import PADDING
from pipeline.evaluation.answering import score_answers
from pipeline.evaluation.score import Scored, logits
from pipeline.tasks.windows import Windows, encode_windows


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """Twelve questions, some with one window and some with two; every third has no answer."""
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    rows = []
    for number in range(12):
        context = f"the {NOUNS[number % 4]} {VERBS[number // 4]} a {NOUNS[number // 3]} ." + " the bird ." * (
            number % 3
        )
        texts = [f"a {NOUNS[number // 3]}"] if number % 3 else []
        rows.append([f"{VERBS[number // 4]} ?", context, texts, [context.index("a ", 4)] if texts else []])
    frame = pd.DataFrame(rows, columns=["question", "context", "answer_texts", "answer_starts"])
    for row in rows:
        assert all(row[1].startswith(text, start) for text, start in zip(row[2], row[3], strict=True)), row
    return encode_windows(frame, folder, max_length=13, doc_stride=3, max_question_length=4)


def scored(windows: Windows, *, threshold: float | None = None, unanswerable: bool = True) -> Scored:
    return score_answers(
        answerer(), windows, max_answer_length=4, unanswerable=unanswerable, threshold=threshold
    )


def test_windows_of_different_lengths_are_padded_with_what_wins_nothing(windows: Windows) -> None:
    lengths = [len(ids) for ids in windows.rows.input_ids]
    found = logits(answerer(), windows.rows)
    assert found.shape == (len(windows.rows), 2, max(lengths))
    assert len(windows.rows) > len(windows)
    for row, length in zip(found, lengths, strict=True):
        assert (row[:, length:] == np.float32(PADDING)).all()
        assert (row[:, :length] > PADDING).all()


def test_the_threshold_that_is_given_is_used(windows: Windows) -> None:
    never, always = scored(windows, threshold=1e6), scored(windows, threshold=-1e6)
    assert (never.threshold, always.threshold) == (1e6, -1e6)
    assert never.scores["no_answer_exact_match"] == 0
    assert always.scores["no_answer_exact_match"] == 1
    assert always.score == pytest.approx(1 / 3)
    assert (never.collapsed, always.collapsed) == (False, True)


def test_without_one_the_best_on_these_questions_is_chosen(windows: Windows) -> None:
    chosen = scored(windows)
    assert chosen.threshold is not None
    assert chosen.score == scored(windows, threshold=chosen.threshold).score
    assert chosen.score is not None
    assert all(
        chosen.score >= (scored(windows, threshold=other).score or 0) for other in (-1e6, -1.0, 0.0, 1.0, 1e6)
    )


def test_where_every_question_has_an_answer_there_is_no_threshold(windows: Windows) -> None:
    answered = [number for number, texts in enumerate(windows.answers) if texts]
    kept = [row for row, number in enumerate(windows.question_of) if number in answered]
    some = Windows(
        rows=type(windows.rows)(
            [windows.rows.input_ids[row] for row in kept],
            [windows.rows.token_type_ids[row] for row in kept],
            windows.rows.labels[kept],
            0,
        ),
        question_of=[answered.index(windows.question_of[row]) for row in kept],
        offsets=[windows.offsets[row] for row in kept],
        contexts=[windows.contexts[number] for number in answered],
        answers=[windows.answers[number] for number in answered],
    )
    found = scored(some, unanswerable=False)
    assert found.threshold is None
    assert set(found.scores) == {"exact_match", "f1"}
    assert (found.score, found.right) == (found.scores["f1"], found.scores["exact_match"])


def test_logits_that_are_not_finite_have_no_score(windows: Windows) -> None:
    model = answerer()
    with torch.no_grad():
        model.qa_outputs.bias[0] = float("nan")
    found = score_answers(model, windows, max_answer_length=4, unanswerable=True)
    assert (found.score, found.right, found.threshold) == (None, None, None)
    assert found.scores == {"exact_match": None, "f1": None}
