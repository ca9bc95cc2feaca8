"""What config.json says of a model's head and of its task, and logits as probabilities. No torch.

A head reads the first token, through a pooler, and gives L logits for the whole sequence; or it reads every
token and gives L logits for each, [B, L, S], of which padding's are -1e4; or it has no tensors at all, and
gives the mean of the tokens, of length 1. `architectures` says which it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# Keys that transformers does not know. How a question-answering model reads and answers: params.Answering,
# max_length and its threshold.
ANSWERING_KEY = "bitladder_answering"
# The kind of task, where head and number of labels do not say it.
KIND_KEY = "bitladder_kind"
# Of several labels at once, by label: the probability from which on a text has it.
THRESHOLDS_KEY = "bitladder_thresholds"


@dataclass(frozen=True)
class Head:
    """Attributes:
    architecture: transformers' class of models with this head.
    layer: what its tensors begin with; empty where it has none.
    reads: the first token, through a pooler; each token by itself; or the mean of them.
    """

    architecture: str
    layer: str
    reads: Literal["first", "each", "mean"]

    @property
    def per_token(self) -> bool:
        """Whether it gives logits for each token."""
        return self.reads == "each"

    @property
    def has_pooler(self) -> bool:
        return self.reads == "first"

    @property
    def packed(self) -> str:
        """Our class of packed models with this head."""
        return f"Packed{self.architecture}"


SEQUENCE = Head("BertForSequenceClassification", "classifier", "first")
TOKENS = Head("BertForTokenClassification", "classifier", "each")
SPAN = Head("BertForQuestionAnswering", "qa_outputs", "each")
VECTOR = Head("BertForSentenceEmbedding", "", "mean")  # the class is ours: modeling/sentence_bert.py
HEADS = (SEQUENCE, TOKENS, SPAN, VECTOR)


def of(architectures: Sequence[str] | None) -> Head:
    """The head that a config's `architectures` names; where it names none of these, SEQUENCE."""
    named = architectures or [SEQUENCE.architecture]
    return next((head for head in HEADS if named[0] in (head.architecture, head.packed)), SEQUENCE)


def softmax(logits: NDArray[Any], axis: int = -1) -> NDArray[np.float64]:
    shares = np.exp(logits.astype(np.float64) - logits.max(axis=axis, keepdims=True))
    found: NDArray[np.float64] = shares / shares.sum(axis=axis, keepdims=True)
    return found


def sigmoid(logits: NDArray[Any]) -> NDArray[np.float64]:
    """By tanh, which overflows nowhere."""
    found: NDArray[np.float64] = (1 + np.tanh(logits.astype(np.float64) / 2)) / 2
    return found
