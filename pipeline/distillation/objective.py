"""The weighted sum a student minimizes, and its terms by name for the curves."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bitladder.modeling.traces import Trace
from pipeline.distillation import losses
from pipeline.kinds.kind import IGNORED, Loss
from pipeline.rungs import Distillation


@dataclass(frozen=True)
class Portion:
    """One process's portion of a batch that several share: its count of each kind over their average count.

    A mean over the portion, times this, averaged over the processes, is the mean over the whole batch.

    Attributes:
        rows, tokens, pairs: sequences, tokens that are no padding, pairs of such tokens.
        labels: tokens that have a label, words to be guessed among them.
    """

    rows: float = 1.0
    tokens: float = 1.0
    pairs: float = 1.0
    labels: float = 1.0


WHOLE = Portion()


class Objective(Distillation):
    """Weights of the terms; one of weight 0 is not computed.

    Attributes:
        loss: what the kind of task learns by; with squared errors a temperature means nothing.
    """

    loss: Loss

    def terms(
        self, student: Trace, teacher: Trace, batch: dict[str, Tensor], portion: Portion = WHOLE
    ) -> dict[str, Tensor]:
        """Each term times its weight, by name."""
        mask_BS = batch["attention_mask"]
        terms: dict[str, Tensor] = {}
        if self.logits:
            distance_logits = self._between(student.logits_BL, teacher.logits_BL, mask_BS)
            share = portion.tokens if self.loss == "token_cross_entropy" else portion.rows
            terms["logits"] = self.logits * share * distance_logits
        if self.hidden_states:
            distance_hidden = losses.hidden_states(student.hidden_states, teacher.hidden_states, mask_BS)
            terms["hidden_states"] = self.hidden_states * portion.tokens * distance_hidden
        if self.attention_scores:
            distance_scores = losses.attention_scores(student.scores, teacher.scores, mask_BS)
            terms["attention_scores"] = self.attention_scores * portion.pairs * distance_scores
        if self.directions:
            distance_directions = losses.directions(student.heads, teacher.heads, mask_BS)
            terms["directions"] = self.directions * portion.rows * distance_directions
        if self.sentence_vectors:
            distance_vectors = losses.sentence_vectors(
                student.hidden_states[-1], teacher.hidden_states[-1], mask_BS
            )
            terms["sentence_vectors"] = self.sentence_vectors * portion.rows * distance_vectors
        if self.similarities:
            distance_pairs = losses.similarities(
                student.hidden_states[-1], teacher.hidden_states[-1], mask_BS
            )
            terms["similarities"] = self.similarities * portion.rows * distance_pairs
        if self.labels:
            distance_labels = label_loss(student.logits_BL, batch["labels"], self.loss)
            terms["labels"] = self.labels * labelled(portion, self.loss) * distance_labels
        return terms

    def _between(self, student: Tensor, teacher: Tensor, mask_BS: Tensor) -> Tensor:
        """How far the student's logits are from the teacher's."""
        if self.loss == "squared_error":
            return losses.logits_squared_error(student, teacher)
        if self.loss == "cosine":
            return 1 - functional.cosine_similarity(student, teacher, dim=-1).mean()
        if self.loss == "token_cross_entropy":
            return losses.logits_of_tokens(student, teacher, mask_BS, self.temperature)
        if self.loss == "binary_cross_entropy":
            return losses.logits_binary_cross_entropy(student, teacher, self.temperature)
        return losses.logits_cross_entropy(student, teacher, self.temperature)

    @property
    def compares_vectors(self) -> bool:
        """Whether a term is between sentence vectors."""
        return self.sentence_vectors != 0 or self.similarities != 0

    @property
    def compares_heads(self) -> bool:
        """Whether a term needs queries, keys and values."""
        return self.directions != 0

    @property
    def compares_attention(self) -> bool:
        """Whether a term is between the heads of both."""
        return self.compares_heads or self.attention_scores != 0


def label_loss(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Of logits [B, L] against the labels: cross-entropy against classes [B], squared error against numbers
    [B], binary cross-entropy against shares [B, L], or [B] of one logit.

    Of heads that read every token, [B, L, S]: cross-entropy against the classes [B, S] of those tokens that
    have one; for question answering against places [B, 2], the mean of start and end.
    """
    if loss == "squared_error":
        return functional.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
    if loss == "binary_cross_entropy":
        return functional.binary_cross_entropy_with_logits(logits, labels.view_as(logits).to(logits.dtype))
    if loss == "token_cross_entropy":
        return functional.cross_entropy(logits, labels, ignore_index=IGNORED)
    return functional.cross_entropy(logits.flatten(0, -2), labels.flatten())


def labelled(portion: Portion, loss: Loss) -> float:
    """A process's portion of what labels are a mean over: tokens that have one, else rows."""
    return portion.labels if loss == "token_cross_entropy" else portion.rows


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
