"""The code that MLflow stores beside a packed model ("models from code": no pickle) and runs to serve it.

It hands the stored folder to our own loader, which checks the manifest, and needs the `bitladder` package
installed. Kernels run it where they can, and torch is not imported; elsewhere torch does. Input: a table with
the task's sentence columns. Output: a table with `label` and `score` (the label's probability), with `answer`
and `score`, or with `score` alone for regression.
"""

from typing import Any

import mlflow
import pandas
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedModel(PythonModel):
    """A packed rung, ready for inference."""

    def load_context(self, context: PythonModelContext) -> None:
        import bitladder

        self.model = bitladder.load(context.artifacts["packed"])
        self.settings = context.model_config

    def predict(
        self, context: PythonModelContext, model_input: pandas.DataFrame, params: Any = None
    ) -> pandas.DataFrame:
        texts, *pairs = (model_input[column].tolist() for column in self.settings["sentence_columns"])
        found = self.model(texts, *pairs, max_length=self.settings.get("max_length"))
        if self.model.config.answering is not None:
            rows = [{"answer": one["answer"] or "", "score": one["score"]} for one in found]
            return pandas.DataFrame(rows, columns=["answer", "score"])
        if len(self.model.config.labels) == 1:
            return pandas.DataFrame({"score": [one["score"] for one in found]})
        labels = [one["label"] for one in found]
        scores = [one["scores"][label] for one, label in zip(found, labels, strict=True)]
        return pandas.DataFrame({"label": labels, "score": scores})


mlflow.models.set_model(ServedModel())
