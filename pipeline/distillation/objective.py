"""The weighted sum a student minimizes, and its terms by name for the curves."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bitladder.modeling.traces import Trace
from pipeline.distillation import losses
from pipeline.rungs import Distillation


@dataclass(frozen=True)
class Portion:
    """One process's portion of a batch that several share: its count of each kind over their average count.

    A mean over the portion, times this, averaged over the processes, is the mean over the whole batch.

    Attributes:
        rows, tokens, pairs: sequences, tokens that are no padding, pairs of such tokens.
        hidden_words: words to be guessed, in masked-language modelling.
    """

    rows: float = 1.0
    tokens: float = 1.0
    pairs: float = 1.0
    hidden_words: float = 1.0


WHOLE = Portion()


class Objective(Distillation):
    """Weights of the terms; one of weight 0 is not computed.

    Attributes:
        regression: squared errors on logits; a temperature means nothing there.
    """

    regression: bool

    def terms(
        self, student: Trace, teacher: Trace, batch: dict[str, Tensor], portion: Portion = WHOLE
    ) -> dict[str, Tensor]:
        """Each term times its weight, by name."""
        mask_BS = batch["attention_mask"]
        terms: dict[str, Tensor] = {}
        if self.logits:
            if self.regression:
                distance_logits = losses.logits_squared_error(student.logits_BL, teacher.logits_BL)
            else:
                distance_logits = losses.logits_cross_entropy(
                    student.logits_BL, teacher.logits_BL, self.temperature
                )
            terms["logits"] = self.logits * portion.rows * distance_logits
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
        if self.labels:
            distance_labels = label_loss(student.logits_BL, batch["labels"], self.regression)
            terms["labels"] = self.labels * portion.rows * distance_labels
        return terms

    @property
    def compares_heads(self) -> bool:
        """Whether a term needs queries, keys and values."""
        return self.directions != 0

    @property
    def compares_attention(self) -> bool:
        """Whether a term is between the heads of both."""
        return self.compares_heads or self.attention_scores != 0


def label_loss(logits_BL: Tensor, labels_B: Tensor, regression: bool) -> Tensor:
    """Cross-entropy, or squared error for regression, against the labels.

    For question answering, logits [B, 2, S] and labels [B, 2]: the mean of start and end.
    """
    if regression:
        return functional.mse_loss(logits_BL.squeeze(-1), labels_B.to(logits_BL.dtype))
    return functional.cross_entropy(logits_BL.flatten(0, -2), labels_B.flatten())


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
