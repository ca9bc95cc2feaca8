"""Distances between a student and its teacher. Padding is masked out of every term that has tokens.

Shapes: B sequences, S tokens, E hidden size, H heads, D features of a head, L labels. mask_BS is 1 for tokens
and 0 for padding.
Heads that read every token give logits [B, L, S]. For question answering they are start and end, each a
classification over the tokens; for token classification each token is one over the labels.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from bitladder.modeling.sentence_bert import mean_of_tokens


def logits_cross_entropy(student_BL: Tensor, teacher_BL: Tensor, temperature: float = 1.0) -> Tensor:
    """Soft cross-entropy, mean over the batch (and over start and end): more labels do not weaken it.

    Both logits are divided by the temperature, and the loss is multiplied by its square: the gradient of
    softened logits is smaller by about that, so the term's weight keeps its meaning (arXiv:1503.02531,
    section 2).
    """
    if temperature != 1:
        softened = logits_cross_entropy(student_BL / temperature, teacher_BL / temperature)
        return temperature**2 * softened
    teacher_probabilities = functional.softmax(teacher_BL, dim=-1)
    return -(teacher_probabilities * functional.log_softmax(student_BL, dim=-1)).sum(dim=-1).mean()


def logits_binary_cross_entropy(student_BL: Tensor, teacher_BL: Tensor, temperature: float = 1.0) -> Tensor:
    """Where each label is a yes or no of its own: soft binary cross-entropy, mean over batch and labels.

    The temperature as in `logits_cross_entropy`.
    """
    wanted_BL = torch.sigmoid(teacher_BL / temperature)
    loss = functional.binary_cross_entropy_with_logits(student_BL / temperature, wanted_BL)
    return temperature**2 * loss


def logits_of_tokens(
    student_BLS: Tensor, teacher_BLS: Tensor, mask_BS: Tensor, temperature: float = 1.0
) -> Tensor:
    """Soft cross-entropy over the labels of each token, mean over the batch's tokens without padding.

    The temperature as in `logits_cross_entropy`.
    """
    is_token_BS = mask_BS != 0
    student_NL, teacher_NL = (each.transpose(1, 2)[is_token_BS] for each in (student_BLS, teacher_BLS))
    return logits_cross_entropy(student_NL, teacher_NL, temperature)


def logits_squared_error(student_BL: Tensor, teacher_BL: Tensor) -> Tensor:
    """For regression: a softmax over one logit is constant, so cross-entropy would teach nothing."""
    return functional.mse_loss(student_BL, teacher_BL)


def hidden_states(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], mask_BS: Tensor) -> Tensor:
    """Sum over layers of the mean squared error over tokens and features (arXiv:2009.12812, eq. 8)."""
    weight_BS1 = mask_BS.unsqueeze(-1).to(student[0].dtype)
    elements = weight_BS1.sum() * student[0].shape[-1]
    return _sum(_distance(s, t, weight_BS1, elements) for s, t in zip(student, teacher, strict=True))


def attention_scores(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], mask_BS: Tensor) -> Tensor:
    """Sum over layers of the mean squared error over heads and pairs of tokens (TernaryBERT, eq. 8).

    A pair counts when neither of its tokens is padding.
    """
    mask = mask_BS.to(student[0].dtype)
    pair_B1SS = (mask.unsqueeze(2) * mask.unsqueeze(1)).unsqueeze(1)
    elements = pair_B1SS.sum() * student[0].shape[1]
    return _sum(_distance(s, t, pair_B1SS, elements) for s, t in zip(student, teacher, strict=True))


def sentence_vectors(student_BSE: Tensor, teacher_BSE: Tensor, mask_BS: Tensor) -> Tensor:
    """1 less the cosine between both models' sentence vectors, mean over the batch: from 0 to 2.

    A sentence vector is the mean over tokens of the last layer's hidden states, as sentence encoders have it
    (Sentence-BERT, arXiv:1908.10084).
    """
    student_BE, teacher_BE = mean_of_tokens(student_BSE, mask_BS), mean_of_tokens(teacher_BSE, mask_BS)
    return 1 - functional.cosine_similarity(student_BE, teacher_BE, dim=-1).mean()


def similarities(student_BSE: Tensor, teacher_BSE: Tensor, mask_BS: Tensor) -> Tensor:
    """Mean squared difference of both models' cosines between the sentence vectors of all pairs of a batch.

    What a sentence encoder is asked for is how near its vectors are to each other (similarity-preserving
    distillation, Tung and Mori, arXiv:1907.09682, of cosines). A sentence and itself are no pair; a batch of
    one has none, and 0.
    """
    student_BE, teacher_BE = (
        functional.normalize(mean_of_tokens(each, mask_BS), dim=-1) for each in (student_BSE, teacher_BSE)
    )
    difference_BB = student_BE @ student_BE.T - teacher_BE @ teacher_BE.T
    count = len(difference_BB)
    return difference_BB.fill_diagonal_(0.0).square().sum() / max(1, count * (count - 1))


def directions(
    student: Sequence[tuple[Tensor, ...]], teacher: Sequence[tuple[Tensor, ...]], mask_BS: Tensor
) -> Tensor:
    """Direction-matching distillation (BiBERT, arXiv:2203.06390): how a head's tokens resemble each other.

    Of queries, keys and values [B, H, S, D] of every layer, each head's matrix of products of its tokens
    [S, S] is scaled to length 1; the distance is the squared one of two such matrices, from 0 (the same
    direction) to 4 (opposite). Summed over layers and over the three, mean over heads and sequences. A pair
    of tokens counts when neither is padding.
    """
    mask = mask_BS.to(torch.float32)
    pair_B1SS = (mask.unsqueeze(2) * mask.unsqueeze(1)).unsqueeze(1)
    pairs_of_layers = zip(student, teacher, strict=True)
    return _sum(
        (_direction(own, pair_B1SS) - _direction(its, pair_B1SS)).square().sum(dim=(2, 3)).mean()
        for layer, taught in pairs_of_layers
        for own, its in zip(layer, taught, strict=True)
    )


def _direction(x_BHSD: Tensor, pair_B1SS: Tensor) -> Tensor:
    """Products of a head's tokens, as one vector of length 1 per head and sequence (0 stays 0)."""
    x_BHSD = x_BHSD.to(torch.float32)
    similarity_BHSS = torch.matmul(x_BHSD, x_BHSD.transpose(2, 3)) * pair_B1SS
    return functional.normalize(similarity_BHSS.flatten(2), dim=-1).view_as(similarity_BHSS)


def _sum(terms: object) -> Tensor:
    return torch.stack(list(terms)).sum()  # type: ignore[call-overload]


def _distance(student: Tensor, teacher: Tensor, counted: Tensor, elements: Tensor) -> Tensor:
    """`((student - teacher).square() * counted).sum() / elements`; counted is 0 or 1 and is broadcast."""
    return cast("Tensor", _SquaredDistance.apply(student, teacher, counted, elements))  # type: ignore[no-untyped-call]


class _SquaredDistance(torch.autograd.Function):
    """Keeps one tensor, the difference, where autograd would keep three."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, counted: Tensor, elements: Tensor) -> Tensor:
        difference = (student - teacher).mul_(counted)
        ctx.save_for_backward(difference, elements)
        flat = difference.flatten()
        return torch.dot(flat, flat) / elements

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None, None]:
        difference, elements = ctx.saved_tensors
        return difference * (2 * gradients[0] / elements), None, None, None
