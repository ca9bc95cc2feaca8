"""What one forward pass hands to distillation; question answering is two classifications over tokens."""

import pytest
import torch
from tiny_model import answerer, batch, classifier, logits, wider
from torch import nn
from torch.nn import functional

from bitladder.modeling import routines
from bitladder.modeling.traces import logits_of, of_heads, trace
from bitladder.quantizers.precision import Precision
from pipeline.distillation.losses import logits_cross_entropy
from pipeline.distillation.objective import label_loss


def test_a_trace_has_the_embeddings_output_every_layers_and_every_layers_scores() -> None:
    model, inputs = classifier(num_labels=3), batch()
    found = trace(model, inputs)
    rows, length = inputs["input_ids"].shape
    assert found.logits_BL.shape == (rows, 3)
    assert [tuple(t.shape) for t in found.hidden_states] == [(rows, length, 32)] * 3
    assert [tuple(t.shape) for t in found.scores] == [(rows, 4, length, length)] * 2
    assert torch.equal(
        found.hidden_states[0], model.bert.embeddings(inputs["input_ids"], inputs["token_type_ids"])
    )


def test_tracing_changes_no_logit() -> None:
    for precision in (None, Precision(1, 1, 8)):
        model = classifier(precision)
        assert torch.equal(trace(model, batch()).logits_BL, logits(model, batch()))


def test_labels_in_the_batch_are_left_alone() -> None:
    model = classifier()
    labelled = {**batch(), "labels": torch.zeros(5, dtype=torch.int64)}
    assert torch.equal(trace(model, labelled).logits_BL, logits(model, batch()))


def test_a_narrow_student_is_shown_the_scores_of_the_heads_it_has() -> None:
    whole = trace(classifier(), batch())
    kept = of_heads(whole, [[0, 3], [2]])
    assert torch.equal(kept.scores[0], whole.scores[0][:, [0, 3]])
    assert torch.equal(kept.scores[1], whole.scores[1][:, [2]])
    assert kept.logits_BL is whole.logits_BL
    assert of_heads(whole, None) is whole


PRECISIONS = [None, Precision(1, 1), Precision(1, 1, 8), Precision(1, 1, 4), Precision(1, 1, 1)]


@pytest.mark.parametrize("name", routines.NAMES)
@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_queries_keys_and_values_are_what_the_linears_put_out(precision: Precision | None, name: str) -> None:
    """Before they are rounded; also on the fast path, which multiplies by all three at once."""
    model, inputs = classifier(precision), batch()
    routines.use(model, routines.choose(name=name))
    found = trace(model, inputs, heads=True)
    assert len(found.heads) == 2
    attention = model.bert.encoder.layer[1].attention.self
    with torch.no_grad():
        for part, x in zip((attention.query, attention.key, attention.value), found.heads[1], strict=True):
            assert isinstance(part, nn.Linear)
            expected = part(found.hidden_states[1])
            assert torch.allclose(x.transpose(1, 2).flatten(2), expected, atol=1e-5)


def test_nobody_keeps_heads_that_were_not_asked_for() -> None:
    model = classifier()
    assert trace(model, batch()).heads == ()
    asked = trace(model, batch(), heads=True)
    assert trace(model, batch()).heads == ()
    assert torch.equal(asked.logits_BL, trace(model, batch()).logits_BL)


def test_a_student_is_shown_the_heads_that_it_shares_with_a_narrow_teacher() -> None:
    whole = trace(classifier(), batch(), heads=True)
    own = [[0, 2, 3], [1, 2, 3]]
    narrow = of_heads(whole, own)
    kept = of_heads(narrow, [[3, 0], [2]], own)
    assert torch.equal(kept.scores[0], whole.scores[0][:, [3, 0]])
    for which in range(3):
        assert torch.equal(kept.heads[1][which], whole.heads[1][which][:, [2]])
    assert of_heads(narrow, own, own) is narrow
    with pytest.raises(ValueError, match=r"a teacher with the heads \[1, 2, 3\] .* its heads \[0\]"):
        of_heads(narrow, [[0], [0]], own)


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
    assert label_loss(logits_B2S, LABELS, loss="cross_entropy") == pytest.approx(float(sum(each)) / 2)


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
    assert label_loss(wide_student, LABELS, loss="cross_entropy") == pytest.approx(
        float(label_loss(student, LABELS, loss="cross_entropy")), rel=1e-5
    )


def test_a_quantized_model_has_hidden_states_and_scores_to_be_taught() -> None:
    found = trace(answerer(Precision(1, 1, 8)), batch())
    assert found.logits_BL.shape == (5, 2, 11)
    assert len(found.hidden_states) == 3
    assert len(found.scores) == 2
