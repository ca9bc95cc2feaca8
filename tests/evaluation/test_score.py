"""Running a classifier over a split: in eval mode, rows in order, undefined when a logit is not finite."""

import numpy as np
import pytest
import torch
from tiny_model import classifier
from torch import Tensor

from pipeline.evaluation import score as scoring
from pipeline.evaluation.score import gives_one_answer, logits, score
from pipeline.tasks.batches import Encoded


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
    found = score(model, rows, ["accuracy", "f1"], regression=False)
    predicted = found.logits_NL.argmax(axis=1)
    assert found.scores["accuracy"] == pytest.approx((predicted == rows.labels.numpy()).mean())
    assert found.score == pytest.approx((found.scores["accuracy"] + found.scores["f1"]) / 2)


def test_regression_is_scored_by_its_single_output() -> None:
    rows = split(regression=True)
    found = score(classifier(num_labels=1), rows, ["pearson"], regression=True)
    assert found.score == pytest.approx(
        np.corrcoef(found.logits_NL[:, 0], rows.labels.numpy())[0, 1], abs=1e-5
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_have_no_score(value: float) -> None:
    model = classifier()
    with torch.no_grad():
        model.classifier.bias[0] = value
    found = score(model, split(), ["accuracy"], regression=False)
    assert (found.scores, found.score, found.collapsed) == ({"accuracy": None}, None, False)


def test_a_model_that_answers_one_class_only_has_no_matthews_correlation() -> None:
    model = classifier()
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([1e3, 0.0]))
    found = score(model, split(), ["matthews_correlation"], regression=False)
    assert found.score is None
    assert found.collapsed


def test_a_model_has_collapsed_when_all_rows_get_the_same_answer() -> None:
    model, rows = classifier(), split()
    middle = np.median(np.diff(logits(model, rows), axis=1))
    with torch.no_grad():  # one half of the rows to each label
        model.classifier.bias += torch.tensor([middle, 0.0])
    assert not score(model, rows, ["accuracy"], regression=False).collapsed
    assert gives_one_answer(["yes", "yes"], ["yes", "no"])
    assert not gives_one_answer(["yes", "no"], ["yes", "yes"])
    assert not gives_one_answer(["yes", "yes"], ["yes", "yes"]), "there is one answer to give"


def test_a_regression_has_collapsed_when_its_output_is_a_constant() -> None:
    model = classifier(num_labels=1)
    assert not score(model, split(regression=True), ["pearson"], regression=True).collapsed
    with torch.no_grad():
        model.classifier.weight.zero_()
    found = score(model, split(regression=True), ["pearson"], regression=True)
    assert (found.score, found.collapsed) == (None, True)


def test_no_gradient_is_kept() -> None:
    kept: list[Tensor] = []
    model = classifier()
    model.register_forward_hook(lambda _, __, output: kept.append(output.logits))
    logits(model, split(3))
    assert not kept[0].requires_grad
