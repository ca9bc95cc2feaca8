"""Distances between student and teacher: worked by hand, means over the right things, padding out of all."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

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


# sentence vectors


def test_sentence_vectors_are_compared_by_their_angle_alone_and_without_padding() -> None:
    """Worked by hand: means [1, 0] and [0, 1], a right angle, and [2, 2] and [3, 3], none."""
    student = torch.tensor([[[2.0, 0.0], [0.0, 0.0]], [[2.0, 2.0], [9.0, -9.0]]])
    teacher = torch.tensor([[[0.0, 1.0], [0.0, 1.0]], [[3.0, 3.0], [-7.0, 7.0]]])
    found = losses.sentence_vectors(student, teacher, torch.tensor([[1, 1], [1, 0]]))
    assert float(found) == pytest.approx((1.0 + 0.0) / 2)
    assert torch.equal(losses.mean_of_tokens(student, torch.ones(2, 2))[0], torch.tensor([1.0, 0.0]))


def test_similarities_by_hand() -> None:
    """Cosines of the student's three vectors: 1, 0, 0; of the teacher's: 0, 1, 0. Padding is left out."""
    student = torch.tensor([[[2.0, 0.0], [9.0, 9.0]], [[3.0, 0.0], [9.0, -9.0]], [[0.0, 1.0], [0.0, 3.0]]])
    teacher = torch.tensor([[[1.0, 0.0], [5.0, 5.0]], [[0.0, 1.0], [5.0, 5.0]], [[1.0, 0.0], [1.0, 0.0]]])
    mask = torch.tensor([[1, 0], [1, 0], [1, 1]])
    assert float(losses.similarities(student, teacher, mask)) == pytest.approx((1 + 1 + 0) / 3)
    assert float(losses.similarities(student[:1], teacher[:1], mask[:1])) == 0


def test_similarities_do_not_see_a_rotation() -> None:
    hidden = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    turned = hidden @ torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]
    assert float(losses.similarities(hidden, turned, torch.ones(5, 3))) == pytest.approx(0, abs=1e-10)


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


@given(st.floats(0.5, 20), st.integers(2, 5))
def test_a_temperature_softens_both_and_its_square_keeps_the_terms_size(
    temperature: float, labels: int
) -> None:
    """Against torch's divergence, which is less by the teacher's entropy: so the gradients are the same."""
    student, teacher = torch.randn(2, 3, labels, generator=torch.Generator().manual_seed(labels))
    student.requires_grad_(True)
    own, its = (logits / temperature for logits in (student, teacher))
    divergence = functional.kl_div(own.log_softmax(-1), its.softmax(-1), reduction="batchmean")
    entropy = -(its.softmax(-1) * its.log_softmax(-1)).sum(-1).mean()
    found = losses.logits_cross_entropy(student, teacher, temperature)
    assert float(found.detach()) == pytest.approx(
        temperature**2 * float((divergence + entropy).detach()), rel=1e-4
    )
    (gradient,) = torch.autograd.grad(found, student)
    (expected,) = torch.autograd.grad(temperature**2 * divergence, student)
    assert torch.allclose(gradient, expected, atol=1e-5)


def test_at_a_high_temperature_the_gradient_is_that_of_centred_logits() -> None:
    """Hinton et al., eq. 4: it does not vanish as the temperature grows."""
    student, teacher = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    student.requires_grad_(True)
    losses.logits_cross_entropy(student, teacher, 1e4).backward()
    own, its = (logits - logits.mean(dim=1, keepdim=True) for logits in (student.detach(), teacher))
    assert torch.allclose(student.grad, (own - its) / (3 * 4), atol=1e-4)


# directions


def heads(seed: int, *, rows: int = 2) -> list[tuple[Tensor, ...]]:
    """Query, key and value of two layers, three heads of two features each."""
    generator = torch.Generator().manual_seed(seed)
    return [tuple(torch.randn(3, rows, 3, 4, 2, generator=generator)) for _ in range(2)]


def directions_in_loops(student: list[tuple[Tensor, ...]], teacher: list[tuple[Tensor, ...]]) -> float:
    """BiBERT's definition, one head of one sequence at a time, on its tokens alone."""
    whole = 0.0
    for own_layer, its_layer in zip(student, teacher, strict=True):
        for own, its in zip(own_layer, its_layer, strict=True):
            found = []
            for row, num_tokens in enumerate(MASK_BS.sum(dim=1).tolist()):
                for head in range(own.shape[1]):
                    a, b = (x[row, head, :num_tokens].double().numpy() for x in (own, its))
                    first, second = a @ a.T, b @ b.T
                    apart = first / np.linalg.norm(first) - second / np.linalg.norm(second)
                    found.append((apart**2).sum())
            whole += sum(found) / len(found)
    return whole


def test_directions_are_those_of_plain_loops_over_heads_and_sequences() -> None:
    found = losses.directions(heads(0), heads(1), MASK_BS)
    assert float(found) == pytest.approx(directions_in_loops(heads(0), heads(1)), rel=1e-5)


def test_directions_worked_by_hand() -> None:
    """Tokens at a right angle against tokens in one line: I / sqrt(2) against all ones / 2."""
    apart, alike = torch.eye(2).view(1, 1, 2, 2), torch.tensor([1.0, 0.0]).expand(1, 1, 2, 2)
    expected = 2 * (1 / math.sqrt(2) - 1 / 2) ** 2 + 2 * (1 / 2) ** 2
    found = losses.directions([(apart,)], [(alike,)], torch.ones(1, 2))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert float(losses.directions([(apart,)], [(alike,)], torch.tensor([[1, 0]]))) == 0


def test_only_directions_count_neither_length_nor_rotation() -> None:
    """What the term is for: 1-bit heads have lengths of their own."""
    turned = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(5))).Q
    others = [tuple(3 * x @ turned for x in layer) for layer in heads(0)]
    assert float(losses.directions(others, heads(0), MASK_BS)) == pytest.approx(0, abs=1e-6)


def test_padding_has_no_direction_and_gets_no_gradient() -> None:
    is_padding = (MASK_BS == 0)[:, None, :, None]
    student = [tuple(x.requires_grad_(True) for x in layer) for layer in heads(0)]
    before = losses.directions(student, heads(1), MASK_BS)
    before.backward()
    before = before.detach()
    for x in (x for layer in student for x in layer):
        assert torch.equal(x.grad == 0, is_padding.expand_as(x))
    filled = [tuple(x.detach().masked_fill(is_padding, 1e6) for x in layer) for layer in student]
    assert torch.equal(losses.directions(filled, heads(1), MASK_BS), before)
    pad = (0, 0, 0, 3)
    wide = [[tuple(functional.pad(x, pad) for x in layer) for layer in side] for side in (filled, heads(1))]
    after = losses.directions(*wide, functional.pad(MASK_BS, (0, 3)))
    assert float(after) == pytest.approx(float(before), rel=1e-6)


def test_heads_that_are_all_zero_give_no_gradient_that_is_no_number() -> None:
    student = [tuple(torch.zeros_like(x).requires_grad_(True) for x in layer) for layer in heads(0)]
    losses.directions(student, heads(1), MASK_BS).backward()
    assert all(x.grad.isfinite().all() for layer in student for x in layer)


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


def test_several_yes_or_no_by_hand() -> None:
    """Teacher p = 1/2 and 1; student says 0 to both: -log 1/2 each."""
    student, teacher = torch.zeros(1, 2), torch.tensor([[0.0, 100.0]])
    assert float(losses.logits_binary_cross_entropy(student, teacher)) == pytest.approx(0.693147, abs=1e-5)


def test_a_students_own_teacher_teaches_it_nothing_about_labels() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    losses.logits_binary_cross_entropy(logits, logits.detach(), temperature=3.0).backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros(4, 3), atol=1e-6, rtol=0)


def test_tokens_are_compared_one_by_one_and_padding_is_none() -> None:
    student, teacher, mask = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.tensor([[1] * 4, [1, 1, 0, 0]])
    found = losses.logits_of_tokens(student, teacher, mask)
    tokens = [(row, at) for row in range(2) for at in range(4) if mask[row, at]]
    each = [
        losses.logits_cross_entropy(student[row, :, at].unsqueeze(0), teacher[row, :, at].unsqueeze(0))
        for row, at in tokens
    ]
    assert float(found) == pytest.approx(float(sum(each)) / len(each), rel=1e-5)
    other = student.clone()
    other[1, :, 2:] = 9.0
    assert torch.equal(losses.logits_of_tokens(other, teacher, mask), found)
