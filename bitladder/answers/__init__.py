"""What a packed model's logits say, by kind of task: a file for each. Neither torch nor transformers.

How a kind is learned and scored is in `pipeline.kinds`, under the same names.
"""

from collections.abc import Mapping

from bitladder.answers.classification import Classification
from bitladder.answers.embeddings import Embeddings
from bitladder.answers.kind import Answer, Kind, Reader
from bitladder.answers.multi_label import MultiLabel
from bitladder.answers.question_answering import QuestionAnswering
from bitladder.answers.regression import Regression
from bitladder.answers.reranking import Reranking
from bitladder.answers.token_classification import TokenClassification

__all__ = ["KINDS", "Answer", "Kind", "Reader"]

KINDS: Mapping[str, Kind] = {
    "classification": Classification(),
    "multi_label": MultiLabel(),
    "regression": Regression(),
    "question_answering": QuestionAnswering(),
    "token_classification": TokenClassification(),
    "reranking": Reranking(),
    "embeddings": Embeddings(),
}
