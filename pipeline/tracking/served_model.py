"""The code that MLflow stores beside a packed model ("models from code": no pickle) and runs to serve it.

It hands the stored folder to our own loader, which checks the manifest, and needs the `bitladder` package
installed. Kernels run it where they can, and torch is not imported; elsewhere torch does. Input: a table with
the task's sentence columns. Output: a table with the columns of the task's kind (`bitladder.answers`), for
one `label` and `score`, the label's probability.
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
        kind = self.model.kind
        return pandas.DataFrame([kind.row(one) for one in found], columns=list(kind.columns))


mlflow.models.set_model(ServedModel())
