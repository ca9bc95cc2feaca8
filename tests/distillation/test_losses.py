"""Distances between student and teacher: worked by hand, means over the right things, padding out of all."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.distillation import losses

MASK_BS = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
TERMS = {"hidden_states": (2, 4, 3), "attention_scores": (2, 2, 4, 4)}


def layers(term: str, seed: int) -> tuple[Tensor, Tensor]:
    """Two layers of what the term compares: [B, S, E] or [B, H, S, S]."""
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, *TERMS[term], generator=generator)
    return first, second


def padding_of(term: str) -> Tensor:
    """True where a value belongs to padding; broadcast against the term's shape."""
    is_padding = MASK_BS == 0
    if term == "hidden_states":
        return is_padding.unsqueeze(-1)
    return (is_padding.unsqueeze(2) | is_padding.unsqueeze(1)).unsqueeze(1)


both_terms = pytest.mark.parametrize("term", TERMS)


# logits


def test_cross_entropy_worked_by_hand() -> None:
    student = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # probabilities 3/4, 1/4 and 1/2, 1/2
    teacher = torch.tensor([[0.0, 0.0], [math.log(4.0), 0.0]])  # 1/2, 1/2 and 4/5, 1/5
    first = -(math.log(0.75) + math.log(0.25)) / 2
    assert float(losses.logits_cross_entropy(student, teacher)) == pytest.approx((first + math.log(2)) / 2)


@given(st.integers(2, 8), st.integers(1, 5), st.integers(1, 4))
def test_cross_entropy_is_the_mean_over_the_batch_only(num_labels: int, rows: int, copies: int) -> None:
    """Peers divide by the number of labels too, so that distillation fades as labels grow."""
    student, teacher = torch.randn(2, rows, num_labels, generator=torch.Generator().manual_seed(rows))
    once = losses.logits_cross_entropy(student, teacher)
    repeated = losses.logits_cross_entropy(student.repeat(copies, 1), teacher.repeat(copies, 1))
    assert float(repeated) == pytest.approx(float(once), rel=1e-5)
    uniform = losses.logits_cross_entropy(torch.zeros(rows, num_labels), torch.zeros(rows, num_labels))
    assert float(uniform) == pytest.approx(math.log(num_labels), rel=1e-5)


def test_cross_entropys_gradient_is_the_difference_of_probabilities_over_the_batch() -> None:
    student, teacher = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    student.requires_grad_(True)
    losses.logits_cross_entropy(student, teacher).backward()
    expected = (student.detach().softmax(dim=-1) - teacher.softmax(dim=-1)) / 3
    assert torch.allclose(student.grad, expected, atol=1e-6)


def test_over_one_logit_cross_entropy_teaches_nothing_and_squared_error_does() -> None:
    """Why regression has its own term: two peers train STS-B with the former."""
    student, teacher = torch.tensor([[1.0], [4.0]], requires_grad=True), torch.tensor([[3.0], [3.5]])
    losses.logits_cross_entropy(student, teacher).backward()
    assert not student.grad.any()
    student.grad = None
    error = losses.logits_squared_error(student, teacher)
    error.backward()
    assert float(error.detach()) == pytest.approx((2**2 + 0.5**2) / 2)
    assert student.grad.flatten().tolist() == [-2.0, 0.5]


# hidden states and attention scores


def test_hidden_states_worked_by_hand() -> None:
    student = (torch.tensor([[[1.0, 2.0], [0.0, 0.0]]]), torch.tensor([[[0.0, 0.0], [9.0, 9.0]]]))
    teacher = (torch.tensor([[[0.0, 0.0], [5.0, 5.0]]]), torch.tensor([[[3.0, 1.0], [0.0, 0.0]]]))
    mask_BS = torch.tensor([[1, 0]])
    assert float(losses.hidden_states(student, teacher, mask_BS)) == pytest.approx((1 + 4) / 2 + (9 + 1) / 2)


def test_attention_scores_worked_by_hand() -> None:
    student = (torch.tensor([[[[1.0, 7.0], [7.0, 7.0]], [[2.0, 7.0], [7.0, 7.0]]]]),)
    teacher = (torch.zeros(1, 2, 2, 2),)
    assert float(losses.attention_scores(student, teacher, torch.tensor([[1, 0]]))) == pytest.approx(
        (1 + 4) / 2
    )
    assert float(losses.attention_scores(student, teacher, torch.tensor([[1, 1]]))) == pytest.approx(
        (1 + 4 + 6 * 49) / 8
    )


@both_terms
def test_the_mean_is_over_what_is_not_padding(term: str) -> None:
    student, teacher = layers(term, 0), layers(term, 1)
    kept = ~padding_of(term).expand(TERMS[term])
    expected = sum(((s - t)[kept] ** 2).mean() for s, t in zip(student, teacher, strict=True))
    assert torch.allclose(getattr(losses, term)(student, teacher, MASK_BS), expected)


@both_terms
def test_what_stands_in_the_padding_changes_nothing(term: str) -> None:
    """A peer's attention term does depend on it."""
    student, teacher = layers(term, 0), layers(term, 1)
    before = getattr(losses, term)(student, teacher, MASK_BS)
    for changed in (student, teacher):
        for layer in changed:
            layer.masked_fill_(padding_of(term), 1e6)
    assert torch.equal(getattr(losses, term)(student, teacher, MASK_BS), before)


@both_terms
def test_padding_gets_no_gradient_and_every_token_does(term: str) -> None:
    student = tuple(layer.requires_grad_(True) for layer in layers(term, 0))
    getattr(losses, term)(student, layers(term, 1), MASK_BS).backward()
    for layer in student:
        assert torch.equal(layer.grad == 0, padding_of(term).expand_as(layer))


@both_terms
def test_more_padding_changes_nothing(term: str) -> None:
    student, teacher = layers(term, 0), layers(term, 1)
    before = getattr(losses, term)(student, teacher, MASK_BS)
    pad = (0, 0, 0, 2) if term == "hidden_states" else (0, 2, 0, 2)
    wide = [tuple(torch.nn.functional.pad(layer, pad) for layer in side) for side in (student, teacher)]
    after = getattr(losses, term)(*wide, torch.nn.functional.pad(MASK_BS, (0, 2)))
    assert float(after) == pytest.approx(float(before), rel=1e-6)


@both_terms
def test_equal_models_are_at_distance_zero(term: str) -> None:
    assert float(getattr(losses, term)(layers(term, 0), layers(term, 0), MASK_BS)) == 0


@both_terms
def test_models_of_different_depth_are_refused(term: str) -> None:
    with pytest.raises(ValueError, match="shorter"):
        getattr(losses, term)(layers(term, 0), layers(term, 1)[:1], MASK_BS)
