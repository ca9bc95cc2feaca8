"""Running a model over a split: in eval mode, rows in order, undefined when a logit is not finite; questions
with the threshold that was given, or else the best on these questions.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_model import answerer, classifier
from tiny_rung import NOUNS, VERBS, write_tokenizer
from torch import Tensor

from bitladder.modeling.traces import PADDING
from bitladder.text.tokens import Tokens
from pipeline.kinds.kind import Rows
from pipeline.kinds.windows import Windows, encode_windows
from pipeline.params import Answering, Task
from pipeline.tasks import scoring
from pipeline.tasks.batches import Encoded
from pipeline.tasks.scoring import Scored, Split, encoded, gives_one_answer, logits, score_logits

ANSWERING = Answering(doc_stride=3, max_question_length=4, max_answer_length=4, unanswerable=True)


def task(*metrics: str, **fields: Any) -> Task:
    own = {"label_names": ["no", "yes"], **fields}
    kind = own.pop("kind", "classification")
    return Task.model_validate(
        {
            "name": "made_up",
            "kind": kind,
            "sentence_columns": ["sentence"],
            "metrics": list(metrics),
            "validation_splits": ["validation"],
            "max_length": 24,
            "selection_fraction": 0.1,
            **own,
        }
    )


REGRESSION: dict[str, Any] = {"kind": "regression", "label_names": [], "range": [0, 5]}


def scored_labels(model: Any, rows: Encoded, *metrics: str, **fields: Any) -> Scored:
    tokens = Tokens(rows.input_ids, rows.token_type_ids, rows.num_truncated)
    whole = Split(Rows(tokens, rows.labels.numpy(), len(rows)), rows)
    return score_logits(logits(model, rows), whole, task(*metrics, **fields))


def split(num_rows: int = 70, *, regression: bool = False) -> Encoded:
    """More rows than one batch, of different lengths."""
    draw = np.random.default_rng(0)
    ids = [[2, *draw.integers(5, 90, row % 7 + 1).tolist(), 3] for row in range(num_rows)]
    labels = torch.arange(num_rows) % 2
    return Encoded(ids, [[0] * len(row) for row in ids], labels.float() if regression else labels, 0)


def test_logits_come_in_the_order_of_the_rows_whatever_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = classifier(), split()
    whole = logits(model, rows)
    monkeypatch.setattr(scoring, "BATCH_SIZE", 1)
    assert whole.shape == (70, 2)
    # 1e-5: batches of other sizes and widths are summed in another order.
    np.testing.assert_allclose(logits(model, rows), whole, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_is_left_as_it_was(training: bool) -> None:
    model = classifier().train(training)
    np.testing.assert_array_equal(logits(model, split()), logits(model, split()))
    assert model.training is training


def test_a_split_is_scored_with_the_tasks_metrics() -> None:
    model, rows = classifier(), split()
    found = scored_labels(model, rows, "accuracy", "f1")
    predicted = found.logits.argmax(axis=1)
    assert found.scores["accuracy"] == pytest.approx((predicted == rows.labels.numpy()).mean())
    assert found.score == pytest.approx((found.scores["accuracy"] + found.scores["f1"]) / 2)


def test_regression_is_scored_by_its_single_output() -> None:
    rows = split(regression=True)
    found = scored_labels(classifier(num_labels=1), rows, "pearson", **REGRESSION)
    assert found.score == pytest.approx(np.corrcoef(found.logits[:, 0], rows.labels.numpy())[0, 1], abs=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_have_no_score(value: float) -> None:
    model = classifier()
    with torch.no_grad():
        model.classifier.bias[0] = value
    found = scored_labels(model, split(), "accuracy")
    assert (found.scores, found.score, found.collapsed) == ({"accuracy": None}, None, False)


def test_a_model_that_answers_one_class_only_has_no_matthews_correlation() -> None:
    model = classifier()
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([1e3, 0.0]))
    found = scored_labels(model, split(), "matthews_correlation")
    assert found.score is None
    assert found.collapsed


def test_a_model_has_collapsed_when_all_rows_get_the_same_answer() -> None:
    model, rows = classifier(), split()
    middle = np.median(np.diff(logits(model, rows), axis=1))
    with torch.no_grad():  # one half of the rows to each label
        model.classifier.bias += torch.tensor([middle, 0.0])
    assert not scored_labels(model, rows, "accuracy").collapsed
    assert gives_one_answer(["yes", "yes"], ["yes", "no"])
    assert not gives_one_answer(["yes", "no"], ["yes", "yes"])
    assert not gives_one_answer(["yes", "yes"], ["yes", "yes"]), "there is one answer to give"


def test_a_regression_has_collapsed_when_its_output_is_a_constant() -> None:
    model = classifier(num_labels=1)
    assert not scored_labels(model, split(regression=True), "pearson", **REGRESSION).collapsed
    with torch.no_grad():
        model.classifier.weight.zero_()
    found = scored_labels(model, split(regression=True), "pearson", **REGRESSION)
    assert (found.score, found.collapsed) == (None, True)


def test_no_gradient_is_kept() -> None:
    kept: list[Tensor] = []
    model = classifier()
    model.register_forward_hook(lambda _, __, output: kept.append(output.logits))
    logits(model, split(3))
    assert not kept[0].requires_grad


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
    return encode_windows(frame, folder, ANSWERING, max_length=13)


def as_split(windows: Windows) -> Split:
    rows = Rows(windows.tokens, windows.labels, len(windows), windows)
    return Split(rows, encoded(rows))


def scored(
    windows: Windows, *, threshold: float | None = None, unanswerable: bool = True, model: Any = None
) -> Scored:
    answering = ANSWERING.model_copy(update={"unanswerable": unanswerable}).model_dump()
    asking = {"sentence_columns": ["question", "context"], "label_names": [], "answering": answering}
    own = task("exact_match", "f1", kind="question_answering", **asking)
    found = logits(model or answerer(), as_split(windows).encoded)
    return score_logits(found, as_split(windows), own, chosen=threshold)


def test_windows_of_different_lengths_are_padded_with_what_wins_nothing(windows: Windows) -> None:
    lengths = [len(ids) for ids in windows.tokens.input_ids]
    found = logits(answerer(), as_split(windows).encoded)
    assert found.shape == (len(lengths), 2, max(lengths))
    assert len(lengths) > len(windows)
    for row, length in zip(found, lengths, strict=True):
        assert (row[:, length:] == np.float32(PADDING)).all()
        assert (row[:, :length] > PADDING).all()


def test_the_threshold_that_is_given_is_used(windows: Windows) -> None:
    never, always = scored(windows, threshold=1e6), scored(windows, threshold=-1e6)
    assert (never.chosen, always.chosen) == (1e6, -1e6)
    assert never.scores["no_answer_exact_match"] == 0
    assert always.scores["no_answer_exact_match"] == 1
    assert always.score == pytest.approx(1 / 3)
    assert (never.collapsed, always.collapsed) == (False, True)


def test_without_one_the_best_on_these_questions_is_chosen(windows: Windows) -> None:
    chosen = scored(windows)
    assert chosen.chosen is not None
    assert chosen.score == scored(windows, threshold=chosen.chosen).score
    assert chosen.score is not None
    assert all(
        chosen.score >= (scored(windows, threshold=other).score or 0) for other in (-1e6, -1.0, 0.0, 1.0, 1e6)
    )


def test_where_every_question_has_an_answer_there_is_no_threshold(windows: Windows) -> None:
    answered = [number for number, texts in enumerate(windows.answers) if texts]
    kept = [row for row, number in enumerate(windows.question_of) if number in answered]
    some = Windows(
        tokens=Tokens(
            [windows.tokens.input_ids[row] for row in kept],
            [windows.tokens.token_type_ids[row] for row in kept],
            0,
        ),
        labels=windows.labels[kept],
        question_of=[answered.index(windows.question_of[row]) for row in kept],
        offsets=[windows.offsets[row] for row in kept],
        contexts=[windows.contexts[number] for number in answered],
        answers=[windows.answers[number] for number in answered],
    )
    found = scored(some, unanswerable=False)
    assert found.chosen is None
    assert set(found.scores) == {"exact_match", "f1"}
    assert (found.score, found.right) == (found.scores["f1"], found.scores["exact_match"])


def test_answers_of_logits_that_are_not_finite_have_no_score(windows: Windows) -> None:
    model = answerer()
    with torch.no_grad():
        model.qa_outputs.bias[0] = float("nan")
    found = scored(windows, model=model)
    assert (found.score, found.right, found.chosen) == (None, None, None)
    assert found.scores == {"exact_match": None, "f1": None}
