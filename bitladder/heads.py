"""The heads that a model may have; which one it has, config.json says in `architectures`.

A head reads the first token, through a pooler, and gives L logits for the whole sequence; or it reads every
token and gives L logits for each, [B, L, S], of which padding's are -1e4.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Head:
    """Attributes:
    architecture: transformers' class of models with this head.
    layer: what its tensors begin with.
    per_token: whether it gives logits for each token; else there is a pooler.
    """

    architecture: str
    layer: str
    per_token: bool

    @property
    def packed(self) -> str:
        """Our class of packed models with this head."""
        return f"Packed{self.architecture}"


SEQUENCE = Head("BertForSequenceClassification", "classifier", per_token=False)
TOKENS = Head("BertForTokenClassification", "classifier", per_token=True)
SPAN = Head("BertForQuestionAnswering", "qa_outputs", per_token=True)
HEADS = (SEQUENCE, TOKENS, SPAN)


def of(architectures: Sequence[str] | None) -> Head:
    """The head that a config's `architectures` names; where it names none of these, SEQUENCE."""
    named = architectures or [SEQUENCE.architecture]
    return next((head for head in HEADS if named[0] in (head.architecture, head.packed)), SEQUENCE)
