"""The kinds of task, a file for each: how labels are read, what is learned, how it is scored.

What a packed model's logits say is in `bitladder.answers`, under the same names. Importing this imports
neither torch nor what reads files: params.yaml is checked by it.
"""

from collections.abc import Mapping

from pipeline.kinds.classification import Classification
from pipeline.kinds.embeddings import Embeddings
from pipeline.kinds.kind import Kind
from pipeline.kinds.multi_label import MultiLabel
from pipeline.kinds.question_answering import QuestionAnswering
from pipeline.kinds.regression import Regression
from pipeline.kinds.reranking import Reranking
from pipeline.kinds.token_classification import TokenClassification
from pipeline.params import KindName, Task

__all__ = ["KINDS", "Kind", "of"]

KINDS: Mapping[KindName, Kind] = {
    "classification": Classification(),
    "multi_label": MultiLabel(),
    "regression": Regression(),
    "question_answering": QuestionAnswering(),
    "token_classification": TokenClassification(),
    "reranking": Reranking(),
    "embeddings": Embeddings(),
}


def of(task: Task) -> Kind:
    return KINDS[task.kind]
