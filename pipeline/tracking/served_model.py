"""The code that MLflow stores beside a packed model ("models from code": no pickle) and runs to serve it.

It hands the stored folder to our own loader, which checks the manifest, and needs the `bitladder` package
installed. Kernels run it where they can, and torch is not imported; elsewhere torch does. Input: a table with
the task's sentence columns. Output: a table with `label` and `score` (the label's probability), with `answer`
and `score`, or with `score` alone for regression.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedModel(PythonModel):
    """A packed rung, ready for inference."""

    def load_context(self, context: PythonModelContext) -> None:
        from bitladder import predict
        from bitladder.packed import format

        self.folder = str(context.artifacts["packed"])
        self.model = predict.load(self.folder)
        self.config = format.read_config(Path(self.folder))
        self.settings = context.model_config

    def predict(
        self, context: PythonModelContext, model_input: pandas.DataFrame, params: Any = None
    ) -> pandas.DataFrame:
        texts = [model_input[column].tolist() for column in self.settings["sentence_columns"]]
        if self.config.answering is not None:
            return self._found_answers(*texts)
        return self._labels(*texts)

    def _found_answers(self, questions: list[str], contexts: list[str]) -> pandas.DataFrame:
        from bitladder.predict import answer_questions

        found = answer_questions(self.model, self.folder, questions, contexts)
        rows = [{"answer": one["answer"] or "", "score": one["score"]} for one in found]
        return pandas.DataFrame(rows, columns=["answer", "score"])

    def _labels(self, texts: list[str], pairs: list[str] | None = None) -> pandas.DataFrame:
        from bitladder.predict import classify

        limit = self.settings["max_length"]
        found = classify(self.model, self.folder, texts, pairs, max_length=limit)
        if len(self.config.labels) == 1:
            return pandas.DataFrame({"score": [one["score"] for one in found]})
        labels = [one["label"] for one in found]
        scores = [one["scores"][label] for one, label in zip(found, labels, strict=True)]
        return pandas.DataFrame({"label": labels, "score": scores})


mlflow.models.set_model(ServedModel())
