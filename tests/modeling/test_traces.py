"""What one forward pass hands to distillation."""

import torch
from tiny_model import batch, classifier, logits

from pipeline.modeling.traces import of_heads, trace
from pipeline.quantizers.choose import Precision


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
