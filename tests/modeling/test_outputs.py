"""A question-answering model's outputs are two classifications over its tokens, padding left out."""

import pytest
import torch
from tiny_model import answerer, batch, classifier, wider
from torch.nn import functional

from bitladder.modeling.traces import logits_of, trace
from bitladder.quantizers.precision import Precision
from pipeline.distillation.losses import logits_cross_entropy
from pipeline.distillation.objective import label_loss

LABELS = torch.tensor([[0, 0], [1, 2], [3, 3], [0, 4], [2, 10]])


@torch.no_grad()
def outputs(seed: int = 0, *, by: int = 0) -> torch.Tensor:
    inputs = wider(batch(), by=by)
    return logits_of(answerer(seed=seed)(**inputs), inputs["attention_mask"])


@torch.no_grad()
def test_a_classifiers_logits_are_left_as_they_are() -> None:
    output = classifier(num_labels=3)(**batch())
    assert logits_of(output, batch()["attention_mask"]) is output.logits


def test_start_and_end_are_transformers_own_where_there_are_tokens() -> None:
    found, inputs = outputs(), batch()
    with torch.no_grad():
        output = answerer()(**inputs)
    is_token = inputs["attention_mask"].bool()
    assert torch.equal(found[:, 0][is_token], output.start_logits[is_token])
    assert torch.equal(found[:, 1][is_token], output.end_logits[is_token])


def test_no_share_goes_to_padding() -> None:
    shares = outputs().softmax(dim=-1)
    is_padding = (batch()["attention_mask"] == 0).unsqueeze(1).expand_as(shares)
    assert float(shares[is_padding].max()) == 0


def test_the_loss_is_the_mean_of_start_and_end() -> None:
    logits_B2S = outputs()
    each = [functional.cross_entropy(logits_B2S[:, side], LABELS[:, side]) for side in (0, 1)]
    assert label_loss(logits_B2S, LABELS, regression=False) == pytest.approx(float(sum(each)) / 2)


def test_distillation_is_the_mean_of_start_and_end() -> None:
    student, teacher = outputs(seed=1), outputs(seed=2)
    each = [logits_cross_entropy(student[:, side], teacher[:, side]) for side in (0, 1)]
    assert logits_cross_entropy(student, teacher) == pytest.approx(float(sum(each)) / 2)


def test_more_padding_changes_no_loss() -> None:
    student, teacher = outputs(seed=1), outputs(seed=2)
    wide_student, wide_teacher = outputs(seed=1, by=6), outputs(seed=2, by=6)
    # 1e-5: rows of another width are summed in another order.
    assert logits_cross_entropy(wide_student, wide_teacher) == pytest.approx(
        float(logits_cross_entropy(student, teacher)), rel=1e-5
    )
    assert label_loss(wide_student, LABELS, regression=False) == pytest.approx(
        float(label_loss(student, LABELS, regression=False)), rel=1e-5
    )


def test_a_quantized_model_has_hidden_states_and_scores_to_be_taught() -> None:
    found = trace(answerer(Precision(1, 1, 8)), batch())
    assert found.logits_BL.shape == (5, 2, 11)
    assert len(found.hidden_states) == 3
    assert len(found.scores) == 2
