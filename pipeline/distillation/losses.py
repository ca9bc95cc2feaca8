"""Distances between a student and its teacher. Padding is masked out of every term that has tokens.

Shapes: B sequences, S tokens, E hidden size, H heads, L labels. mask_BS is 1 for tokens and 0 for padding.
"""

import torch
from torch import Tensor
from torch.nn import functional


def logits_cross_entropy(student_BL: Tensor, teacher_BL: Tensor) -> Tensor:
    """Soft cross-entropy, mean over the batch only (arXiv:1503.02531): more labels do not weaken it."""
    teacher_probabilities = functional.softmax(teacher_BL, dim=-1)
    return -(teacher_probabilities * functional.log_softmax(student_BL, dim=-1)).sum(dim=-1).mean()


def logits_squared_error(student_BL: Tensor, teacher_BL: Tensor) -> Tensor:
    """For regression: a softmax over one logit is constant, so cross-entropy would teach nothing."""
    return functional.mse_loss(student_BL, teacher_BL)


def hidden_states(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], mask_BS: Tensor) -> Tensor:
    """Sum over layers of the mean squared error over tokens and features (arXiv:2009.12812, eq. 8)."""
    weight_BS1 = mask_BS.unsqueeze(-1).to(student[0].dtype)
    elements = weight_BS1.sum() * student[0].shape[-1]
    return _sum(
        ((s - t).square() * weight_BS1).sum() / elements for s, t in zip(student, teacher, strict=True)
    )


def attention_scores(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], mask_BS: Tensor) -> Tensor:
    """Sum over layers of the mean squared error over heads and pairs of tokens (TernaryBERT, eq. 8).

    A pair counts when neither of its tokens is padding.
    """
    mask = mask_BS.to(student[0].dtype)
    pair_B1SS = (mask.unsqueeze(2) * mask.unsqueeze(1)).unsqueeze(1)
    elements = pair_B1SS.sum() * student[0].shape[1]
    return _sum(
        ((s - t).square() * pair_B1SS).sum() / elements for s, t in zip(student, teacher, strict=True)
    )


def _sum(terms: object) -> Tensor:
    return torch.stack(list(terms)).sum()  # type: ignore[call-overload]
