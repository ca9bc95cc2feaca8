"""An answer's edges are found though the tokenizer drops characters there (huggingface/tokenizers#399,
transformers#7673), a perfect model scores everything, and what leaves no token is refused with its row.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tiny_rung import write_tokenizer

from bitladder.text import characters
from bitladder.text.spans import best_spans
from pipeline.kinds import question_checks, squad
from pipeline.kinds.checks import DataError, checked
from pipeline.kinds.windows import Windows, encode_windows
from pipeline.params import Answering

ANSWERING = Answering(doc_stride=2, max_question_length=4, max_answer_length=5, unanswerable=True)
EDGES = [
    ("the dog sees the cat\u0301", "cat\u0301"),
    ("the dog sees the cat\u0301 .", "the cat\u0301"),
    ("\ufeffthe dog is large", "\ufeffthe dog"),
    ("\ufeffthe dog is large", "the dog"),
    ("the bird hears a fish\u200b", "fish\u200b"),
    ("the bird hears a fish\u200b", "a fish"),
    ("the bird\u200b hears", "bird"),
    ("\u200b the\u0301 dog \ufffd", "\u200b the\u0301 dog \ufffd"),
    ("the caf\u00e9 .", "caf\u00e9"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(made)
    return made


def cut(context: str, answer: str, folder: Path) -> Windows:
    rows = {"question": ["a bird"], "context": [context], "answer_texts": [[answer]]}
    frame = pd.DataFrame({**rows, "answer_starts": [[context.index(answer)]]})
    return encode_windows(frame, folder, ANSWERING, max_length=16)


@pytest.mark.parametrize(("context", "answer"), EDGES)
def test_a_perfect_model_scores_everything(context: str, answer: str, folder: Path) -> None:
    windows = cut(context, answer, folder)
    logits_N2S = np.zeros((1, 2, len(windows.offsets[0])), np.float32)
    for part, token in enumerate(windows.labels[0]):
        assert token > 0
        logits_N2S[0, part, token] = 9
    [span] = best_spans(logits_N2S, windows, max_answer_length=5)
    assert context[span.start : span.end] == span.text
    assert characters.without_unseen(span.text).strip() == characters.without_unseen(answer).strip()
    marks = squad.marks([span.text], windows.answers, unanswerable=True)
    assert (marks.exact_match.tolist(), marks.f1.tolist()) == ([1], [1])


@pytest.mark.parametrize("following", ["\u0301", "\u0301\u0327", "\u200b", "\ufe0f"])
def test_a_span_carries_the_marks_that_follow_it_and_no_space(following: str) -> None:
    context = f"cafe{following} x"
    assert characters.with_what_follows(context, 4) == 4 + len(following)


def test_a_question_whose_context_has_no_token_is_refused_at_prepare_with_its_row() -> None:
    rows = [("the dog", "dog", 4), ("\ufffd\ufffd\ufffd", "\ufffd", 0)]
    answers = [{"text": [text], "answer_start": [start]} for _, text, start in rows]
    table = pa.table(
        {
            "id": ["0", "1"],
            "title": ["t", "t"],
            "context": [context for context, _, _ in rows],
            "question": ["who ?"] * 2,
            "answers": answers,
        }
    )
    with pytest.raises(DataError, match=r"column 'context', row 1: .*at least one visible character"):
        question_checks.checked(table, source="train", unanswerable=False)


@pytest.mark.parametrize("text", ["\ufffd\ufffd", "\u0301", "\u200b\ufeff", "\x00", " \u00a0"])
def test_a_text_of_which_nothing_is_left_is_refused_at_prepare_with_its_row(text: str) -> None:
    table = pa.table({"sentence": ["fine", text], "label": [0, 1], "idx": [0, 1]})
    with pytest.raises(DataError, match=r"column 'sentence', row 1: .*at least one visible character"):
        checked(table, source="train", sentence_columns=["sentence"], num_labels=2, training=True)


def test_a_context_without_a_word_is_named_when_asked(folder: Path) -> None:
    rows = {"question": ["a bird"] * 2, "context": ["the dog", "\ufffd\ufffd\ufffd"]}
    windows = encode_windows(pd.DataFrame(rows), folder, ANSWERING, max_length=16)
    logits_N2S = np.zeros((2, 2, max(map(len, windows.offsets))), np.float32)
    with pytest.raises(ValueError, match="context of question 1: there is no word in it"):
        best_spans(logits_N2S, windows, max_answer_length=5)


def question(number: int, title: str | None) -> dict[str, object]:
    answers = {"text": ["dog"], "answer_start": [4]}
    context = f"the dog {number // 2}"
    return {"id": str(number), "title": title, "context": context, "question": "who ?", "answers": answers}


def test_a_title_may_be_blank_or_missing_and_its_contexts_stand_for_themselves(tmp_path: Path) -> None:
    from made_up import params

    from pipeline import kinds

    titles = ["Dogs", "", None, " ", "", ""]
    table = pa.Table.from_pylist([question(number, title) for number, title in enumerate(titles)])
    frame = question_checks.checked(table, source="train", unanswerable=False)
    task = params(tmp_path, "task=squad", "model=minilm").task
    assert kinds.of(task).groups(frame, task) == ["Dogs", "Dogs", *["the dog 1"] * 2, *["the dog 2"] * 2]
