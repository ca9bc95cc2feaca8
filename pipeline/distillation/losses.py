"""Distances between a student and its teacher. Padding is masked out of every term that has tokens.

Shapes: B sequences, S tokens, E hidden size, H heads, L labels. mask_BS is 1 for tokens and 0 for padding.
For question answering logits are [B, 2, S], start and end: each is a classification over the tokens.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def logits_cross_entropy(student_BL: Tensor, teacher_BL: Tensor) -> Tensor:
    """Soft cross-entropy, mean over the batch (and over start and end): more labels do not weaken it.

    arXiv:1503.02531."""
    teacher_probabilities = functional.softmax(teacher_BL, dim=-1)
    return -(teacher_probabilities * functional.log_softmax(student_BL, dim=-1)).sum(dim=-1).mean()


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
