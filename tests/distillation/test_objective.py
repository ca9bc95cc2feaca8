"""The weighted sum that a rung minimizes, between a whole student and a whole teacher."""

import pytest
import torch
from tiny_model import batch, classifier, other_padding
from torch import Tensor

from bitladder.modeling.traces import trace
from bitladder.quantizers.precision import Precision
from pipeline.distillation import losses
from pipeline.distillation.objective import Objective, label_loss, total

LABELS = torch.tensor([0, 1, 1, 0, 1])
NAMES = ("logits", "hidden_states", "attention_scores", "labels", "directions")
ALL = Objective(**dict.fromkeys(NAMES, 1.0), loss="cross_entropy")


def terms(
    objective: Objective, inputs: dict[str, Tensor], precision: Precision | None = None, num_labels: int = 2
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The terms of a student against a teacher, and the gradients of their sum by parameter."""
    student = classifier(precision, seed=1, num_labels=num_labels)
    with torch.no_grad():
        taught = trace(classifier(seed=2, num_labels=num_labels), inputs, heads=True)
    found = objective.terms(trace(student, inputs, heads=True), taught, {**inputs, "labels": LABELS})
    total(found).backward()
    gradients = {n: p.grad.clone() for n, p in student.named_parameters() if p.grad is not None}
    return {name: term.detach() for name, term in found.items()}, gradients


@pytest.mark.parametrize("name", NAMES)
def test_a_term_of_weight_zero_is_left_out(name: str) -> None:
    objective = Objective(**{**dict.fromkeys(NAMES, 1.0), name: 0.0}, loss="cross_entropy")
    assert set(terms(objective, batch())[0]) == set(NAMES) - {name}


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_multiplies_its_term(name: str) -> None:
    thrice = Objective(**{**dict.fromkeys(NAMES, 1.0), name: 3.0}, loss="cross_entropy")
    plain, weighted = terms(ALL, batch())[0], terms(thrice, batch())[0]
    for term in NAMES:
        assert float(weighted[term]) == pytest.approx((3 if term == name else 1) * float(plain[term]))


def test_the_total_is_the_sum() -> None:
    assert float(total({"a": torch.tensor(1.5), "b": torch.tensor(-0.5)})) == 1.0


def test_each_term_is_the_loss_of_its_name() -> None:
    found, _ = terms(ALL, batch())
    with torch.no_grad():
        student, teacher = (trace(classifier(seed=seed), batch(), heads=True) for seed in (1, 2))
    mask_BS = batch()["attention_mask"]
    expected = {
        "logits": losses.logits_cross_entropy(student.logits_BL, teacher.logits_BL),
        "hidden_states": losses.hidden_states(student.hidden_states, teacher.hidden_states, mask_BS),
        "attention_scores": losses.attention_scores(student.scores, teacher.scores, mask_BS),
        "labels": label_loss(student.logits_BL, LABELS, loss="cross_entropy"),
        "directions": losses.directions(student.heads, teacher.heads, mask_BS),
    }
    assert all(torch.equal(found[name], expected[name]) for name in NAMES)


@pytest.mark.parametrize(
    "precision", [None, Precision(1, 1), Precision(1, 1, 8), Precision(1, 1, 4), Precision(1, 1, 1)]
)
def test_padding_changes_no_term_and_no_gradient_of_any_weight(precision: Precision | None) -> None:
    plain, plain_gradients = terms(ALL, batch(), precision)
    changed, gradients = terms(ALL, other_padding(batch()), precision)
    assert all(torch.equal(plain[name], changed[name]) for name in NAMES)
    for name, gradient in plain_gradients.items():
        assert torch.equal(gradient, gradients[name]), name


def test_regression_learns_from_the_teachers_logits() -> None:
    """Two peers' STS-B students get nothing from them."""
    only_logits = Objective(
        logits=1.0, hidden_states=0.0, attention_scores=0.0, labels=0.0, loss="squared_error"
    )
    found, gradients = terms(only_logits, batch(), num_labels=1)
    with torch.no_grad():
        student, teacher = (trace(classifier(seed=s, num_labels=1), batch()).logits_BL for s in (1, 2))
    assert float(found["logits"]) == pytest.approx(float((student - teacher).square().mean()))
    assert gradients["classifier.weight"].abs().max() > 0
    assert gradients["bert.encoder.layer.0.attention.self.query.weight"].abs().max() > 0


def test_bibert_mixes_the_teachers_answer_with_half_of_the_labels() -> None:
    found, _ = terms(
        Objective(logits=1.0, hidden_states=0.0, attention_scores=0.0, labels=0.5, loss="cross_entropy"),
        batch(),
    )
    with torch.no_grad():
        student, teacher = (trace(classifier(seed=seed), batch()).logits_BL for seed in (1, 2))
    entropy = torch.nn.functional.cross_entropy(student, teacher.softmax(dim=-1))
    labels = torch.nn.functional.cross_entropy(student, LABELS)
    assert float(sum(found.values())) == pytest.approx(float(entropy + 0.5 * labels), rel=1e-6)


def test_a_temperature_is_of_the_logits_alone() -> None:
    plain, _ = terms(ALL, batch())
    soft, _ = terms(Objective(**dict.fromkeys(NAMES, 1.0), loss="cross_entropy", temperature=4.0), batch())
    assert [name for name in NAMES if not torch.equal(plain[name], soft[name])] == ["logits"]


def test_a_teacher_gets_no_gradient() -> None:
    teacher = classifier(seed=2).requires_grad_(False)
    own, its = (trace(model, batch(), heads=True) for model in (classifier(seed=1), teacher))
    found = ALL.terms(own, its, {**batch(), "labels": LABELS})
    total(found).backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_label_loss_worked_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    assert float(label_loss(logits, torch.tensor([0, 1]), loss="cross_entropy")) == pytest.approx(0.693147)
    values, scores = torch.tensor([[1.0], [4.0]]), torch.tensor([2.0, 4.5])
    # Not broadcast to [B, B]: each value against its own score.
    assert float(label_loss(values, scores, loss="squared_error")) == pytest.approx((1 + 0.25) / 2)


def test_label_loss_of_other_kinds_by_hand() -> None:
    """One logit of 0 against the share 1/4, and tokens of which one has a label: log 2 each."""
    assert float(label_loss(torch.zeros(1, 1), torch.tensor([0.25]), loss="binary_cross_entropy")) == (
        pytest.approx(0.693147)
    )
    tagged = label_loss(torch.zeros(1, 2, 3), torch.tensor([[-100, 1, -100]]), loss="token_cross_entropy")
    assert float(tagged) == pytest.approx(0.693147)
